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
SAMPLE_WEIGHT = next(_number)  # address of float64, or 0: they divide the loss
LOSS_WEIGHT = next(_number)  # the same, or the address of those that multiply it
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
BATCH_WEIGHT = next(_number)  # (batch,): sample weights divided by the batch's sum
BATCH_LOSS_WEIGHT = next(_number)  # (batch,): loss weights divided by the same sum
ROW_LOSS = next(_number)  # float64 (batch,)
SCRATCH = next(_number)  # one block a thread
SCRATCH_STRIDE = next(_number)

# ------------------------------------------------------------- its updates
N_UNITS = next(_number)  # strips of weights, and vectors of layers
PENALTY = next(_number)  # float64 (2, n_units): penalty of the weights, by step parity
RATES = next(_number)  # (2, n_rate_rows, N_RATES): scalars of a step, by its parity
N_RATE_ROWS = next(_number)  # 1, or one for each layer
LAYER_RATES = next(_number)  # float64 (n_rate_rows,): factors of the learning rate
MEMORY = next(_number)  # float64 (2, n_rate_rows, N_MEMORY): an optimizer's, likewise
MOMENTUM = next(_number)  # which of HYPER a schedule multiplies, or -1
GRADIENT = next(_number)  # flat, where a step needs all gradients before it updates
GRADIENT_SQUARES = next(_number)  # float64 (n_units,): its sums of squares
MATRIX_WORK = next(_number)  # of an optimizer of whole matrices
AVERAGE = next(_number)  # flat: running average of the parameters

N_MEMORY = 4  # numbers that an optimizer carries from step to step
#: Scalars of one step: eight of the optimizer, the factor of decoupled decay, the rate
#: of the average, and for whole matrices learning rate and momentum.
DECAY, AVERAGE_RATE, MATRIX_RATE, MATRIX_MOMENTUM, N_RATES = 8, 9, 10, 11, 16

# ---------------------------------------------------------- what is random
DROPOUT_RATES = next(_number)  # float64 (2, n_layers): given and now, the input's last
AUGMENTATION = next(_number)  # float64 (N_AUGMENTATION,), see below
BETA_QUANTILES = next(_number)  # float64 (N_QUANTILES,), of the distribution of mixup
PARTNER_Y = next(_number)  # (batch, n_targets), of the rows that are mixed in
PARTNER_WEIGHT = next(_number)  # (batch,), times the partner's share
OWN_WEIGHT = next(_number)  # (batch,): BATCH_LOSS_WEIGHT times the row's own share
PARTNER_GRADIENT = next(_number)  # (batch, stride of the output)
PARTNER_LOSS = next(_number)  # float64 (batch,)

#: Standard deviation of the inputs' noise, and the sum of the batch's weights.
NOISE, BATCH_WEIGHT_SUM, N_AUGMENTATION = range(3)

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
HYPER = next(_number)  # float64, parameters of the optimizer, as they are now
PASS_BATCH = next(_number)  # in place of PASS_ROWS where layers need the whole batch
UPDATE_WHOLE = next(_number)  # in place of the fused update, or 0
MATRIX_KERNEL = next(_number)  # of an optimizer that updates matrices as a whole
PENALISE_KERNEL = next(_number)  # of a gradient before the update, or 0
CLIP_KERNEL = next(_number)
SIZE_KERNEL = next(_number)
AVERAGE_KERNEL = next(_number)  # or 0
AUGMENT_KERNEL = next(_number)  # of the inputs, or 0
MIXED_LOSS_KERNEL = next(_number)  # loss of mixed rows, or 0
DROPOUT_KERNEL = next(_number)

NO_SCORE, ACCURACY, MULTILABEL_ACCURACY, R2 = range(4)

# ------------------------------------------------------------- its settings
BATCH_SIZE = next(_number)
SHUFFLE = next(_number)
SEED = next(_number)
SCHEDULE = next(_number)  # see nnfit.functions.stopping
MONITOR = next(_number)  # 1: the engine itself looks at the training loss
N_ITER_NO_CHANGE = next(_number)
MAX_EPOCHS = next(_number)
MAX_BATCHES = next(_number)  # of one call
WHOLE = next(_number)  # 1: batches are parts of one sum (L-BFGS)
RUNNING_STATISTICS = next(_number)  # 1: batch normalisation uses the running ones
COLLECTING = next(_number)  # 1: a pass for the running statistics alone

# ------------------------------------------------------------- its progress
EPOCH = next(_number)
STEP = next(_number)  # optimizer steps
SAMPLES = next(_number)  # rows seen in finished epochs, scikit-learn's t_
CURSOR = next(_number)  # rows of this epoch already seen
NO_IMPROVEMENT = next(_number)
STOPPED = next(_number)  # likewise
BATCHES = next(_number)  # done in this call
FINISHED = next(_number)  # epochs finished in this call
LOSS_CURVE = next(_number)  # float64 addresses, an entry a finished epoch
RATE_CURVE = next(_number)
BATCH_CURVE = next(_number)  # float64, the loss of each batch of this call, or 0
BATCH_FACTORS = next(_number)  # float64 (batches + 1, N_FACTORS): of schedules, or 0
SHARED = next(_number)  # address of what threads share, below
PATIENCE = next(_number)  # ticks of waiting after which fewer threads may be better

HEADER = next(_number)

# --------------------------------------------- int64: what threads share
# One cache line for all and one for each thread, so that nobody's count takes a
# line from another thread's.
SHARED_LINE = 8
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
NORMS = next(_number)  # (n_norms, norm stride): scale, running mean and variance
NORM_STRIDE = next(_number)
N_NORMS = next(_number)  # 0 for a layer without normalisation, 1 or 3
# of a normalised or residual layer, whose z is kept:
NORMALISE = next(_number)  # address of its kernel, from z to what is activated; else 0
NORMALISE_BACK = next(_number)  # address: gradient by z from that by what is activated
SCALE_SLOPES = next(_number)  # address: slope times gradient by the outputs
SCALE_GRADIENT = next(_number)  # address
PASS_Z = next(_number)  # address: z follows the activation, for a projection; else 0
Z = next(_number)  # (batch, stride)
NORMED = next(_number)  # (batch, stride): z normalised, before the scale
SPREAD = next(_number)  # (batch,) or (N_STATISTICS, width), see the kernels
START = next(_number)  # (batch, start stride), what z starts from; 0 for zeros
START_STRIDE = next(_number)
RESULT = next(_number)  # (batch, result stride): gradient by the outputs
RESULT_STRIDE = next(_number)
RESULT_WIDTH = next(_number)
GRADIENT_BY_Z = next(_number)  # (batch, stride): SLOPE of a plain layer
SKIPPED = next(_number)  # gradient by z that comes past the next layer, or 0
SKIPPED_STRIDE = next(_number)
MATRIX = next(_number)  # 1: its weights are updated as a whole
LAYER = next(_number)

#: Statistics of a batch: mean, 1 / root of the variance, and two sums of gradients.
MEAN, INVERSE, SUM, SUM_NORMED, N_STATISTICS = range(5)

# ------------------------------------------------------------------- floats
_number = count()
ALPHA = next(_number)
L1 = next(_number)
CLIP_NORM = next(_number)  # these three inf where they are not used
CLIP_VALUE = next(_number)
MAX_NORM = next(_number)
MOMENTUM_GIVEN = next(_number)
WEIGHT_DECAY = next(_number)
LEARNING_RATE_INIT = next(_number)
POWER_T = next(_number)
LEARNING_RATE_DECAY = next(_number)
TOL = next(_number)
LEARNING_RATE = next(_number)  # before its factor
RATE_NOW = next(_number)  # of the batch that comes next
BEST_LOSS = next(_number)
EPOCH_LOSS = next(_number)  # sum so far
WEIGHT_SUM = next(_number)  # of this batch; of all rows if WHOLE
WEIGHT_SPREAD = next(_number)  # 1 - sum of squares of BATCH_WEIGHT
LOSS_SCALE = next(_number)  # reported loss is this times the sum over outputs
FLOATS = next(_number)
