"""The domain core: operator graphs, features, learners, intervals, evaluation; pure maths on given bytes."""
