"""Data sets: looking at what a folder holds, and making it one to train on."""
