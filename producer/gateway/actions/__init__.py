"""The actions of the API: one module for each group of them, and what they read in the same way."""
