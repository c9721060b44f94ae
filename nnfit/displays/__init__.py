"""Pictures of trainings and networks, by scikit-learn's convention; need matplotlib.

The range test's, `nnfit.LearningRateDisplay`, is beside the test itself.
"""
