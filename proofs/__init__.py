"""Proofs and checks that join the model to the running code, each with what it does not show."""
