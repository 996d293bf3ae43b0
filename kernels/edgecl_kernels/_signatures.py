"""Every function that is compiled: helpers, then kernels with the types of their arguments.

The just-in-time and the ahead-of-time compiler read the same tables. `fastmath` here means `FASTMATH`: sums
may be reordered and products fused, but NaN and infinity keep their meaning, so that a caller can test for
them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from edgecl_kernels import (
    adagrad,
    adwin,
    calibration,
    cells,
    cholesky,
    experts,
    fisher,
    herding,
    hop,
    least_squares,
    lift,
    neighbours,
    page_hinkley,
    products,
    quantise,
    refine,
    scatter,
    softmax,
)

Function = Callable[..., Any]

FASTMATH = frozenset({"reassoc", "contract", "nsz", "arcp"})

# function, fastmath; a helper comes after those it calls
HELPERS: tuple[tuple[Function, bool], ...] = (
    (lift.sign_word, False),
    (lift.add_signed, False),
    (lift.project_block, False),
    (lift.lift_columns, False),
    (products.add_products, True),
    (products.multiply_rows, True),
    (softmax.row_maximum, True),
    (softmax.softmax_columns, True),
    (quantise.gather_rows, False),
    (refine.residuals, True),
    (refine.update_columns, True),
    (refine.update_parameters, True),
    (fisher.add_columns, True),
    (fisher.add_block, True),
    (herding.centred_product, True),
    (herding.add_centred_products, False),
    (herding.lowest, False),
    (hop.sum_in_eights, False),
    (hop.add_layer, True),
    (hop.half_square, True),
    (hop.count_reached, True),
    (hop.scale_to_unit, True),
    (scatter.add_corner, True),
    (scatter.add_scatter, False),
    (cholesky.row_offset, False),
    (cholesky.packed_order, False),
    (cholesky.substitute_four, True),
    (cholesky.dot_rows, True),
    (cholesky.factor_diagonal, False),
    (cholesky.forward_packed, False),
    (cholesky.subtract_four, True),
    (cholesky.sum_squares, True),
    (adwin.natural_log, False),
    (adwin.add_bucket, False),
    (adwin.remove_buckets, False),
    (adwin.drop_oldest, False),
    (adwin.compress, False),
    (adwin.add_value, False),
    (adwin.difference_at_cut, False),
    (adwin.restart_window, False),
    (adagrad.row_product, True),
    (adagrad.linear_scores, True),
    (adagrad.adagrad_row, True),
    (adagrad.adagrad_learn, True),
    (least_squares.load_row, False),
    (least_squares.packed_product, True),
    (least_squares.restart_inverse, False),
    (least_squares.shrink_inverse, True),
    (least_squares.excite_column, False),
    (least_squares.least_squares_scores, True),
    (least_squares.least_squares_step, True),
    (least_squares.least_squares_learn, True),
    (cells.find_cells, False),
    (cells.cell_scores, False),
    (cells.cell_step, False),
    (cells.cells_learn, False),
    (calibration.best_of, False),
    (calibration.count_answer, False),
    (calibration.reliable, False),
    (calibration.calibrate, False),
    (neighbours.add_column, False),
    (neighbours.squared_distances_to, False),
    (neighbours.insert_nearest, False),
    (neighbours.nearest_of, False),
    (neighbours.remember_row, False),
    (neighbours.vote, False),
    (experts.follow_transition, False),
    (experts.count_transition, False),
    (experts.least_squares_answer, False),
    (experts.mix_answers, False),
    (experts.count_mixture, False),
    (experts.share_weights, False),
    (experts.answer_row, False),
    (experts.learn_row, False),
)

# name: function, numba signature, fastmath
KERNELS: dict[str, tuple[Function, str, bool]] = {
    "gather_rows": (
        quantise.gather_rows,
        "void(int8[:,::1], float32[::1], int32[::1], float32[::1], float32, int64, int64, float32[:,::1])",
        False,
    ),
    "lift_rows": (lift.lift_rows, "void(float32[:,::1], int64, float32[:,::1])", False),
    "refine_steps": (
        refine.refine_steps,
        (
            "void(float32[:,:,::1], int8[:,::1], float32[::1], int32[::1], int32[:,::1], float32[::1], "
            "float32[::1], float32, float32, float32[::1], float32, int64, int64, float32[:,::1], "
            "float32[:,::1])"
        ),
        False,
    ),
    "fisher_diagonal": (
        fisher.fisher_diagonal,
        "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[:,::1])",
        True,
    ),
    "herding_order": (
        herding.herding_order,
        "void(float32[:,::1], float32[::1], float32[:,::1], int32[::1])",
        False,
    ),
    "pool_frames": (
        hop.pool_frames,
        "int64(float32[:,::1], int32[::1], float32[::1], int64, float64[::1], float32[::1])",
        False,
    ),
    "bound_by_noise": (
        hop.bound_by_noise,
        (
            "int64(float32[::1], float32[:,::1], float32[::1], float32[::1], float32[:,::1], float32[:,::1], "
            "float32[::1], float32[::1], float32[::1], float32[::1])"
        ),
        True,
    ),
    "bound_by_means": (
        hop.bound_by_means,
        (
            "int64(float32[::1], int16[:,::1], float32[::1], float32, float32[::1], float32[::1], float32[::1], "
            "float32[::1])"
        ),
        True,
    ),
    "ask_student": (
        hop.ask_student,
        (
            "int64(float32[:,::1], int32[::1], float32[::1], int16[:,::1], float32[::1], float32[:,::1], float32[::1], "
            "float32[:,::1], float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], "
            "float32[::1])"
        ),
        True,
    ),
    "quantise_rows": (quantise.quantise_rows, "void(float32[:,::1], int8[:,::1], float32[::1])", False),
    "dequantise_rows": (quantise.dequantise_rows, "void(int8[:,::1], float32[::1], float32[:,::1])", False),
    "scatter_update": (scatter.scatter_update, "void(float32[:,::1], float64[::1])", True),
    "scatter_update_f32": (scatter.scatter_update, "void(float32[:,::1], float32[::1])", True),
    "cholesky_packed": (cholesky.cholesky_packed, "int64(float64[::1])", False),
    "cholesky_packed_f32": (cholesky.cholesky_packed, "int64(float32[::1])", False),
    "forward_packed": (cholesky.forward_packed, "void(float64[::1], float64[:,::1])", False),
    "forward_packed_f32": (cholesky.forward_packed, "void(float32[::1], float32[:,::1])", False),
    "solve_packed": (cholesky.solve_packed, "void(float64[::1], float64[:,::1])", False),
    "solve_packed_f32": (cholesky.solve_packed, "void(float32[::1], float32[:,::1])", False),
    "inverse_trace": (cholesky.inverse_trace, "float64(float64[::1], float64[:,::1])", False),
    "inverse_trace_f32": (cholesky.inverse_trace, "float64(float32[::1], float32[:,::1])", False),
    "packed_sums": (cholesky.packed_sums, "void(float64[::1], float64[::1])", False),
    "packed_sums_f32": (cholesky.packed_sums, "void(float32[::1], float64[::1])", False),
    "scores": (softmax.scores, "void(float32[:,::1], float32[:,::1], float32[::1], float32[:,::1])", False),
    "softmax_rows": (softmax.softmax_rows, "void(float32[:,::1])", False),
    "adwin_update": (adwin.adwin_update, "void(float64[:,::1], float64[::1], int32[::1])", False),
    "page_hinkley_update": (
        page_hinkley.page_hinkley_update,
        "void(float64[::1], float64[::1], int32[::1])",
        False,
    ),
    "adagrad_steps": (
        adagrad.adagrad_steps,
        "void(float32[:,::1], int32[::1], float32[::1], float32, float32[:,:,::1], float32[:,::1])",
        False,
    ),
    "cell_steps": (
        cells.cell_steps,
        (
            "void(float32[:,::1], int32[::1], float32, int32[:,::1], float32[:,::1], int32[::1], float32[:,:,::1], "
            "float32[:,::1])"
        ),
        False,
    ),
    "least_squares_steps": (
        least_squares.least_squares_steps,
        (
            "void(float32[:,::1], int32[::1], float64[::1], float64[:,::1], float64[::1], float64[:,::1], "
            "float64[:,::1])"
        ),
        False,
    ),
    "nearest_rows": (
        neighbours.nearest_rows,
        "void(int8[:,::1], int64, int8[:,::1], int32[::1], int32[:,::1])",
        False,
    ),
    "follow_rows": (
        experts.follow_rows,
        (
            "void(float32[:,::1], int8[:,::1], int32[:,::1], int64, float32[::1], float64[::1], int32[::1], "
            "float64[:,::1], float64[:,::1], float32[:,::1], float32[:,:,:,::1], int32[:,::1], float32[:,::1], "
            "float32[:,:,::1], float64[:,::1], float64[:,:,::1], float64[:,::1], int8[:,::1], int32[::1], "
            "int32[::1], int32[::1], int32[::1], float64[:,::1], float32[:,::1], int32[::1], float32[:,:,::1], "
            "float32[:,::1])"
        ),
        False,
    ),
}


def rebind(function: Function, names: dict[str, Any]) -> Function:
    """Return a copy of a plain function with other globals, such as compiled helpers; the original stays plain."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
