"""The cheap labels: retrieval, prompts, the endpoint, money, and the run over all of them."""
