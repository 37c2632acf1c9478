"""IMFL without a screen: query strategies, annotators, label model, training and the loop of rounds."""
