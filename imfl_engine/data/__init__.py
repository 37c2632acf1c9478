"""Data in and out: reading what people have, writing what other tools open unchanged."""
