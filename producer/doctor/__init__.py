"""``assist doctor``: look at an installation as it runs, and say what is wrong and how to fix it. Changes nothing."""
