"""Algorithm 1 as a resumable state machine derived from the store.

`steps` says what comes next, `runner` does it; one module does each kind of step.
"""
