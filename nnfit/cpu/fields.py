"""Where the compiled engine finds its numbers: a table of integers, one of floats.

The driver (`nnfit.cpu.engine`) fills the tables, the kernels read them through
a pointer, so that sizes, depths and hyperparameters are run-time data. An
address is stored as an integer. The layer rows follow the header.
"""

from itertools import count

# ------------------------------------------------ integers: what is trained
_number = count()
N_LAYERS = next(_number)
N_THREADS = next(_number)
N_OUTPUTS = next(_number)  # columns of the raw prediction
N_TARGETS = next(_number)  # columns of y
ROW_BLOCK = next(_number)  # rows that pass the network together
ONE = next(_number)  # address of the number 1 in the compute dtype

# ---------------------------------------------------------------- its data
N_ROWS = next(_number)
X = next(_number)  # address: dense values, or those of a CSR matrix
X_STRIDE = next(_number)  # elements between rows of a dense X
X_KIND = next(_number)  # one of the three below
INDPTR = next(_number)
INDICES = next(_number)
SPARSE = next(_number)  # 1: the first layer works on the entries, by three kernels
SPARSE_FORWARD = next(_number)
SPARSE_SORT_BATCH = next(_number)
SPARSE_STRIP_GRADIENT = next(_number)
Y = next(_number)
SAMPLE_WEIGHT = next(_number)  # address of float64, or 0
ROWS = next(_number)  # address of the int64 rows to train on, or 0 for all
ORDER = next(_number)  # int64 (n_rows,), the epoch's order, or 0 for 0, 1, ...

DENSE, CSR_INT32, CSR_INT64 = range(3)

# ------------------------------------------------------------- its buffers
PARAMETERS = next(_number)  # flat weights, panels first, then biases
STATE_0 = next(_number)  # optimizer slots, laid out like the parameters
STATE_1 = next(_number)
BATCH_Y = next(_number)  # (batch, n_targets)
COLUMN_STARTS = next(_number)  # int64 (n_features + 2,): a sparse batch by columns
COLUMN_ROWS = next(_number)  # int64 (entries,): row in the batch
COLUMN_VALUES = next(_number)  # (entries,)
BATCH_WEIGHT = next(_number)  # (batch,), divided by the batch's sum
ROW_LOSS = next(_number)  # float64 (batch,)
PENALTY = next(_number)  # float64 (2, n_units): sums of squared weights
N_UNITS = next(_number)
SCRATCH = next(_number)  # one block a thread
SCRATCH_STRIDE = next(_number)
RATES = next(_number)  # (2, 8) scalars of an optimizer step, by step parity

N_RATES = 8  # scalars of one step
N_MEMORY = 4  # of an optimizer

# ------------------------------------------------------------ its functions
SCORE = next(_number)  # of an evaluation; one of the four below
PREDICTIONS = next(_number)  # (block, n_outputs), for R2
FORWARD_ROWS = next(_number)  # the engine's for blocks of rows
EVALUATE_ROWS = next(_number)
PASS_ROWS = next(_number)
LOSS_KERNEL = next(_number)
LOSS_PARAMETERS = next(_number)
LINK_KERNEL = next(_number)
UPDATE_KERNEL = next(_number)
PREPARE_KERNEL = next(_number)
HYPER = next(_number)  # float64, parameters of the optimizer
MEMORY = next(_number)  # float64 (4,), what it carries from step to step

NO_SCORE, ACCURACY, MULTILABEL_ACCURACY, R2 = range(4)

# ------------------------------------------------------------- its settings
BATCH_SIZE = next(_number)
SHUFFLE = next(_number)
SEED = next(_number)
SCHEDULE = next(_number)  # one of the four below
MONITOR = next(_number)  # 1: the engine itself looks at the training loss
N_ITER_NO_CHANGE = next(_number)
MAX_EPOCHS = next(_number)
MAX_BATCHES = next(_number)  # of one call
WHOLE = next(_number)  # 1: batches are parts of one sum (L-BFGS)

CONSTANT, INVSCALING, ADAPTIVE, PLATEAU = range(4)

# ------------------------------------------------------------- its progress
EPOCH = next(_number)
STEP = next(_number)  # optimizer steps
SAMPLES = next(_number)  # rows seen in finished epochs, scikit-learn's t_
CURSOR = next(_number)  # rows of this epoch already seen
NO_IMPROVEMENT = next(_number)
STOPPED = next(_number)
BATCHES = next(_number)  # done in this call
FINISHED = next(_number)  # epochs finished in this call
LOSS_CURVE = next(_number)  # float64 addresses, an entry a finished epoch
RATE_CURVE = next(_number)
BATCH_CURVE = next(_number)  # float64, the loss of each batch of this call, or 0
TEAM = next(_number)  # address of what threads share, below
PATIENCE = next(_number)  # ticks of waiting after which fewer threads may be better

RUNNING, CONVERGED, DIVERGED = range(3)

HEADER = next(_number)

# --------------------------------------------- int64: what threads share
# One cache line for all and one for each thread, so that nobody's count takes a
# line from another thread's.
TEAM_LINE = 8
ARRIVED = 0  # barrier counter
ALONE_FROM = 1  # batch of this call from which thread 0 works alone, 0 for none
ABORTED = 2  # 1: leave every barrier and return
WAITED = 0  # in a thread's line: ticks of the clock
SINCE = 1  # when that began
FROM = 2  # with which batch of this call

# ---------------------------------------------------- integers: a layer's row
_number = count()
N_IN = next(_number)
N_OUT = next(_number)
WIDTH = next(_number)  # n_out padded to vectors
STRIDE = next(_number)  # of the output buffers below
WEIGHTS = next(_number)  # address in the flat parameters
BIAS = next(_number)
TRANSPOSED = next(_number)  # address of W transposed in panels; 0 in layer 0
INPUT = next(_number)  # (batch, n_in): the previous layer's OUTPUT
INPUT_STRIDE = next(_number)
OUTPUT = next(_number)  # (batch, stride): the activation
SLOPE = next(_number)  # (batch, stride): z, its slope, then the gradient by z
ACTIVATION = next(_number)  # address of its kernel, 0 for the identity
INPUT_TILES = next(_number)  # the batch's inputs by tiles, (tiles, batch, slot), or 0
GRADIENT_PANELS = next(_number)  # gradient by z, (panels, batch, columns), or 0
COEF = next(_number)  # (n_in, n_out), C-contiguous: weights outside of the engine
INTERCEPT = next(_number)  # (n_out,)
OUTER_NORMS = next(_number)  # (n_norms, n_out)
NORMS = next(_number)  # (n_norms, width): scale, running mean and variance
N_NORMS = next(_number)  # 0 for a layer without normalisation, 1 or 3
LAYER = next(_number)

# ------------------------------------------------------------------- floats
_number = count()
ALPHA = next(_number)
WEIGHT_DECAY = next(_number)
LEARNING_RATE_INIT = next(_number)
POWER_T = next(_number)
LEARNING_RATE_DECAY = next(_number)
TOL = next(_number)
LEARNING_RATE = next(_number)
BEST_LOSS = next(_number)
EPOCH_LOSS = next(_number)  # sum so far
WEIGHT_SUM = next(_number)  # of this batch; of all rows if WHOLE
LOSS_SCALE = next(_number)  # reported loss is this times the sum over outputs
FLOATS = next(_number)
