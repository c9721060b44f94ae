"""Order of the examples, for sphinx-gallery."""

#: From the first steps to what few need; a new example comes last until it is here.
ORDER = (
    "first_fit",
    "class_weight",
    "overfitting",
    "deep_network",
    "learning_rate",
    "displays",
    "diagnosis",
    "explanations",
    "early_stopping",
    "search",
    "population",
    "uncertainty",
    "prediction_intervals",
    "explanations",
    "own_functions",
)


def position(filename):
    """Sorting key of an example."""
    name = filename.removesuffix(".py")
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
