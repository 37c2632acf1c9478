"""The cheap labels: retrieval, prompts, the endpoint, money, and the run that ties them together."""
