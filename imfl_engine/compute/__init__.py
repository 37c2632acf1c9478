"""Everything that needs a neural network, done in one long-lived child process.

`client.Compute` is what the rest of the engine sees; `wire` holds the values that cross the pipe.
Neither imports torch: that is left to the modules only `child` loads.
"""
