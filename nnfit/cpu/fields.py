"""Where the compiled engine finds its numbers: a table of integers, one of floats.

The driver (`nnfit.cpu.engine`) fills the tables, the kernels read them through
a pointer, so that sizes, depths and hyperparameters are run-time data. An
address is stored as an integer. The layer rows follow the header.
"""

from itertools import count

# ------------------------------------------------ integers: what is trained
_number = count()
N_THREADS = next(_number)
N_FEATURES = next(_number)
N_OUTPUTS = next(_number)  # columns of the raw prediction
N_TARGETS = next(_number)  # columns of y
ROW_BLOCK = next(_number)  # rows that pass the network together
ONE = next(_number)  # address of the number 1 in the compute dtype
FLOATS_AT = next(_number)  # address of the table of floats
NOW = next(_number)  # address of what each thread knows of its batch, see below
RAW = next(_number)  # address of the raw predictions of a batch
RAW_STRIDE = next(_number)
RAW_GRADIENT = next(_number)  # of the loss by them, in rows of the same distance
RAW_LINES = next(_number)  # of them for each row, one a member
OWN_ROWS = next(_number)  # 1: each of these lines has a row of the data of its own

# ------------------------------------- what is done: rows further on in the table
SEGMENTS = next(_number)  # where the first one is; numbers of a segment below
N_SEGMENTS = next(_number)
N_PART_SEGMENTS = next(_number)  # of each part of a batch; all of its last
STATISTICS_END = next(_number)  # segment after those that find statistics
TENSORS = next(_number)
N_TENSORS = next(_number)
UNITS = next(_number)
N_UNITS = next(_number)
N_FROZEN_UNITS = next(_number)  # behind them, which no step updates
GROUPS = next(_number)
N_GROUPS = next(_number)

# ---------------------------------------------------------------- its data
N_ROWS = next(_number)  # of an epoch
N_ORDERED = next(_number)  # of its order, of which it takes the first
X = next(_number)  # address: dense values, or those of a CSR matrix
X_STRIDE = next(_number)  # elements between rows of a dense X
X_KIND = next(_number)  # one of the three below
INDPTR = next(_number)
INDICES = next(_number)
Y = next(_number)
SAMPLE_WEIGHT = next(_number)  # address of float64, or 0: they divide the loss
LOSS_WEIGHT = next(_number)  # the same, or the address of those that multiply it
ROWS = next(_number)  # address of the int64 rows to train on, or 0 for all
ORDER = next(_number)  # int64 (n_ordered,), the epoch's order, or 0 for 0, 1, ...

DENSE, CSR_INT32, CSR_INT64 = range(3)

# ------------------------------------------------------------- its buffers
PARAMETERS = next(_number)  # flat parameters
STATE_0 = next(_number)  # optimizer slots, laid out like the parameters
STATE_1 = next(_number)
BATCH_Y = next(_number)  # (batch, n_targets), for each line of a raw prediction
COLUMN_STARTS = next(_number)  # int64 (n_features + 2,): a sparse batch by columns
COLUMN_ROWS = next(_number)  # int64 (entries,): row in the batch
COLUMN_VALUES = next(_number)  # (entries,)
BATCH_WEIGHT = next(_number)  # (batch,): sample weights divided by the batch's sum
BATCH_LOSS_WEIGHT = next(_number)  # (batch,): loss weights likewise, for each line
ROW_LOSS = next(_number)  # float64 (batch,), for each line
SCRATCH = next(_number)  # one block a thread
SCRATCH_STRIDE = next(_number)

# ------------------------------------------------------------- its updates
TENSOR_FACTORS = next(_number)  # float64 (n_tensors,): of their penalties
PENALTY = next(_number)  # float64 (2, n_units): penalty of the weights, by step parity
RATES = next(_number)  # (2, n_rate_rows, N_RATES): scalars of a step, by its parity
N_RATE_ROWS = next(_number)
RATE_FACTORS = next(_number)  # float64 (n_rate_rows, N_RATE_FACTORS)
MEMORY = next(_number)  # float64 (2, n_rate_rows, N_MEMORY): an optimizer's, likewise
MOMENTUM = next(_number)  # which of HYPER a schedule multiplies, or -1
GRADIENT = next(_number)  # flat, for all of it or parts of a batch; 0 for the scratch
GRADIENT_SQUARES = next(_number)  # float64 (n_units,): its sums of squares
AVERAGE = next(_number)  # flat: running average of the parameters

#: Scalars of one step: eight of the optimizer, the factor of decoupled decay, the rate
#: of the average, and for whole matrices learning rate and momentum.
DECAY, AVERAGE_RATE, MATRIX_RATE, MATRIX_MOMENTUM, N_RATES = 8, 9, 10, 11, 16

# ---------------------------------------------------------- what is random
N_DROPOUT = next(_number)  # rates of dropout, the last that of the input
DROPOUT_RATES = next(_number)  # float64 (2, n_dropout): given, and of this batch
NOISE = next(_number)  # float64 (n_features,): standard deviations
SWAP_VALUES = next(_number)  # (n_features,): what swapped entries become, or 0
SWAP_MASK = next(_number)  # first of n_features columns of y that say which are swapped
CUTS = next(_number)  # 1: rows take columns of their partners, 0: they are mixed
BETA_QUANTILES = next(_number)  # float64 (N_QUANTILES,), of the distribution of shares
PARTNER_Y = next(_number)  # (batch, n_targets), of the rows that are mixed in
PARTNER_WEIGHT = next(_number)  # (batch,), times the partner's share
OWN_WEIGHT = next(_number)  # (batch,): BATCH_LOSS_WEIGHT times the row's own share
PARTNER_GRADIENT = next(_number)  # (batch, stride of the output)
PARTNER_LOSS = next(_number)  # float64 (batch,)

# ------------------------------------------------------------ its functions
SCORE = next(_number)  # of an evaluation; one of the four below
PREDICTIONS = next(_number)  # (block, n_outputs), for R2
LOSS_KERNEL = next(_number)
LOSS_PARAMETERS = next(_number)
LINK_KERNEL = next(_number)
UPDATE_KERNEL = next(_number)
PREPARE_KERNEL = next(_number)
HYPER = next(_number)  # float64, parameters of the optimizer, as they are now
PENALISE_KERNEL = next(_number)  # of a gradient before the update, or 0
CLIP_KERNEL = next(_number)
SIZE_KERNEL = next(_number)
AVERAGE_KERNEL = next(_number)  # or 0

NO_SCORE, ACCURACY, MULTILABEL_ACCURACY, R2 = range(4)

# ------------------------------------------------------------- its settings
BATCH_SIZE = next(_number)
PART_ROWS = next(_number)  # of a part of a batch, for each thread; or the batch
SHUFFLE = next(_number)
SEED = next(_number)
SCHEDULE = next(_number)  # see nnfit.functions.stopping
MONITOR = next(_number)  # 1: the engine itself looks at the training loss
N_ITER_NO_CHANGE = next(_number)
MAX_EPOCHS = next(_number)
MAX_BATCHES = next(_number)  # of one call
ALONE_BATCHES = next(_number)  # most that thread 0 goes on with when the others leave
WHOLE = next(_number)  # 1: batches are parts of one sum (L-BFGS)

# ------------------------------------------------------------- its progress
EPOCH = next(_number)
STEP = next(_number)  # optimizer steps
SAMPLES = next(_number)  # rows seen in finished epochs, scikit-learn's t_
CURSOR = next(_number)  # rows of this epoch already seen
NO_IMPROVEMENT = next(_number)
STOPPED = next(_number)  # likewise
ADDS = next(_number)  # 1: gradients of units are added to those of parts before
ENDS = next(_number)  # 1: with this part the batch ends
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

# ------------------------------------- int64 and float64: what a thread knows of now
# One record a thread: what thread 0 changes for the next batch, while others still
# work on this one. Where a batch is done in parts, position and rows are the part's.
POSITION = 0  # of the batch in the epoch's order
BATCH = 1  # its rows
NOW_STEP = 2
NOW_THREAD = 3
NOW_WEIGHT_SUM = 4  # float64, like the next two
NOW_SPREAD = 5
NOW_MOMENTUM = 6  # part of the way from running statistics to those of the batch
NOW_FIELDS = 16

# ------------------------------------------------------ integers: a step of the program
#: A segment: instructions that threads carry out on their shares of rows, columns or
#: units, and whether all wait for each other after. An instruction is a function and
#: the row of the layer that it works on.
BEGIN, END, SHARES, EXTENT, GRAIN, BLOCK, WAITS, ALWAYS, SEGMENT = range(9)
#: How an extent is shared out: in grains, evenly; units by their cost; all to thread 0.
EVENLY, BY_COST, FIRST_THREAD = range(3)
FUNCTION, ROW, INSTRUCTION = range(3)

# ---------------------------------------------------- integers: a layer's row
_number = count()
N_OUT = next(_number)
WIDTH = next(_number)  # n_out padded to vectors
LINES = next(_number)  # of its output for each row; `batch` below counts lines
OUTPUT = next(_number)  # (batch, stride): the layer's value
STRIDE = next(_number)
SLOPE = next(_number)  # (batch, stride): what its gradient is multiplied by, or 0
GRADIENT_BY_OUTPUT = next(_number)  # (batch, gradient stride), times the slope if any
GRADIENT_STRIDE = next(_number)
OWN_TENSORS = next(_number)  # where the row of its first tensor is
EDGES = next(_number)  # two edges, then numbers of the layer's kind

# ---------------------------------------- integers: an edge, an input of a layer
_number = count()
INPUT = next(_number)  # (batch, input stride)
INPUT_STRIDE = next(_number)
N_IN = next(_number)
GOAL = next(_number)  # where the gradient by the input goes, or 0
GOAL_STRIDE = next(_number)
GOAL_WIDTH = next(_number)  # n_in padded to vectors
ADDED = next(_number)  # gradient by the same value of later layers, or 0
ADDED_STRIDE = next(_number)
SCALE = next(_number)  # slopes that multiply the sum, or 0
SCALE_STRIDE = next(_number)
EDGE = next(_number)

PRIVATE = EDGES + 2 * EDGE

#: The first of a kind's own numbers where tensors have a line for each member.
PART = PRIVATE  # rows that are summed while they are in the cache
SUMS = PART + 1  # (parts, lines, width): sums for the first tensor, then the second
AFTER_SUMS = SUMS + 2

# ---------------------------------------------------------- integers: a tensor's row
_number = count()
ADDRESS = next(_number)  # in the flat parameters
OUTSIDE = next(_number)  # as estimators keep it, C-contiguous
N_LINES = next(_number)
N_COLUMNS = next(_number)
LINE = next(_number)  # elements between lines at ADDRESS
IN_PANELS = next(_number)
PENALISED = next(_number)
MATRIX = next(_number)  # 1: it is updated as a whole
RATE = next(_number)  # row of its rates
TENSOR = next(_number)

# ------------------------------------------------------------ integers: a unit's row
#: Some parameters that one thread finds the gradient of and updates: the layer, its
#: function, what follows from new parameters (or 0), tensor and its number, address,
#: elements; where they lie in the tensor; what of them a batch touches (or 0, for all);
#: and what the units before cost.
U_ROW, U_GRADIENT, U_AFTER, U_TENSOR, U_NUMBER, U_ADDRESS, U_SIZE = range(7)
U_COLUMN, U_FIRST, U_ROWS, U_TOUCHED, U_PER_ROW_BEFORE, U_FIXED_BEFORE, UNIT = range(
    7, 14
)
#: What a batch touches: how many of the unit's lines, then their numbers in it. The
#: gradient of such a unit has them one after the other.
TOUCHED_LINES, TOUCHED = range(2)
#: Units whose columns are bounded together.
G_FIRST, G_END, GROUP = range(3)

# ------------------------------------------------------------------- floats
_number = count()
ALPHA = next(_number)
L1 = next(_number)
CLIP_NORM = next(_number)  # these three inf where they are not used
CLIP_VALUE = next(_number)
MAX_NORM = next(_number)
FEATURE_SWAP = next(_number)  # probability that an entry is swapped
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
BATCH_LOSS = next(_number)  # likewise, of the parts of a batch
WEIGHT_SUM = next(_number)  # of the next batch; of all rows if WHOLE
WEIGHT_SPREAD = next(_number)  # 1 - sum of squares of BATCH_WEIGHT
LOSS_SCALE = next(_number)  # reported loss is this times the sum over outputs
FLOATS = next(_number)
