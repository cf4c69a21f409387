"""Partition planning: strategies, the timeline simulator and scoring; pure, asks only predictors."""
