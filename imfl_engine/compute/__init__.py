"""Everything that needs a neural network, done in one long-lived child process.

`client.Compute` is what the rest of the engine sees: the jobs. `channel` leads the life of the
child and of its jobs, `process` is the child as a process, `wire` holds the values that cross the
pipe. None of them imports torch: that is left to the modules only `child` loads.
"""
