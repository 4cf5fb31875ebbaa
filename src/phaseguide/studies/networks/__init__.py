"""Networks that studies compare: which images teach and test, one training a network, and what each is judged to do."""
