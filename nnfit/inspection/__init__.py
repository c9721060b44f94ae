"""Explanations of predictions by slopes, from the compiled way back."""

from nnfit.inspection.attributions import Attributions
from nnfit.inspection.display import AttributionDisplay
from nnfit.inspection.expected import expected_gradients
from nnfit.inspection.first_layer import first_layer_importance
from nnfit.inspection.integrated import integrated_gradients
from nnfit.inspection.slopes import input_gradients, smooth_grad
from nnfit.inspection.summary import AttributionSummary, attribution_summary

__all__ = [
    "AttributionDisplay",
    "AttributionSummary",
    "Attributions",
    "attribution_summary",
    "expected_gradients",
    "first_layer_importance",
    "input_gradients",
    "integrated_gradients",
    "smooth_grad",
]
