"""The domain core: operator graphs, features, learners, intervals and evaluation; pure maths on given bytes."""
