"""Who holds the shards: this process, or the workers of a cluster.

As LightGBM does: partitions are computed where they are to stay, `who_has` tells where,
a worker gets one task at a time for all shards that it holds, and fits that share
workers take turns. What a shard is trained to depends on its rows alone, never on its
worker.
"""

import time
import warnings
from contextlib import contextmanager, nullcontext

from nnfit.batches.rows import as_one
from nnfit.dask.packages import dask
from nnfit.dask.parts import find, taken
from nnfit.dask.shard import Shard, train_all
from nnfit.estimators.streams import naming
from nnfit.training.threads import usable_processors

#: Seconds between two looks at which workers are there.
LOOK = 1.0
#: Seconds for which a fit waits for workers, and for another fit in silence.
WAIT = 60.0
OF_ANOTHER = (
    "The workers are used by another fit, for which this one waits. If its client was "
    "killed it will not end: call client.restart()."
)
SIZE_TO_WARN_OF = "distributed.admin.large-graph-warning-threshold"
#: Times in a row that a round may lose a shard's worker.
MOST_TRIES = 3


class InProcess:
    """Holds the shards itself and trains one after the other: there is no cluster."""

    n_holders = 1

    def __init__(self, parts):
        self._parts = dask().compute(*parts)
        self._shards = []

    def look(self, estimator):
        """`Found` of every partition."""
        return [find(part, estimator) for part in self._parts]

    def keep(self, numbers):
        """Forget all but some partitions, which are numbered anew."""
        self._parts = [self._parts[number] for number in numbers]

    def take(self, rows):
        """Some rows of every partition, put together."""
        pairs = zip(self._parts, rows, strict=True)
        return as_one([taken(*each) for each in pairs], "X")

    def place(self, shards, *arguments):
        """Make the shards of lists of partitions, see `Shard` for the arguments."""
        self._shards = [
            _shard(number, arguments, *[self._parts[each] for each in numbers])
            for number, numbers in enumerate(shards)
        ]
        self._parts = None

    def train(self, *arguments):
        """`Trained` of every shard, see `Shard.train`."""
        return train_all(self._shards, usable_processors(), *arguments)

    def turn(self):
        """Context manager in which no other fit uses the workers."""
        return nullcontext()


def _shard(number, arguments, *parts):
    X, y, sample_weight, name = as_one(parts, f"shard {number}")
    with naming(name):
        return Shard(number, *arguments, X, y, sample_weight)


class OnWorkers:
    """Lets the workers of a cluster hold the shards.

    Parameters
    ----------
    client : distributed.Client
    parts : list of Delayed
    timeout : float or None
        Seconds for which a round may last, and for which a fit waits for another one.
    """

    def __init__(self, client, parts, timeout):
        self._client, self._delayed, self._timeout = client, parts, timeout
        self._place_of, self._shards = {}, {}
        self._parts = client.compute(parts)
        self._wait_for_rows()

    # The rows --------------------------------------------------------------------

    @property
    def n_holders(self):
        """Workers that hold rows, or could."""
        return len(self._workers())

    def look(self, estimator):
        """As `InProcess`."""
        futures = self._client.map(find, self._parts, estimator=estimator, pure=False)
        return self._client.gather(futures)

    def keep(self, numbers):
        """As `InProcess`."""
        self._parts = [self._parts[number] for number in numbers]
        self._delayed = [self._delayed[number] for number in numbers]

    def take(self, rows):
        """As `InProcess`."""
        futures = self._client.map(taken, self._parts, rows, pure=False)
        return as_one(self._client.gather(futures), "X")

    def place(self, shards, *arguments):
        """As `InProcess`, each on the worker that has most of it."""
        self._members, self._arguments = shards, arguments
        where = self._client.who_has(self._parts)
        self._assign(dict(enumerate(shards)), self._parts, where)
        self._parts = None  # workers need no more than the shards

    def _assign(self, shards, parts, where):
        """Give shards to workers, and let these make them of their partitions."""
        futures = {n: [parts[each] for each in own] for n, own in shards.items()}
        keys = {n: [each.key for each in own] for n, own in futures.items()}
        busy = list(self._place_of.values())
        self._place_of |= assigned(keys, where, self._workers(), busy)
        for number, own in futures.items():
            self._shards[number] = self._client.submit(
                _shard, number, self._arguments, *own,
                workers=[self._place_of[number]], pure=False,
            )  # fmt: skip

    # The training ----------------------------------------------------------------

    def train(self, *arguments):
        """As `InProcess`; shards of workers that are gone are placed anew."""
        done, tries = {}, 0
        while len(done) < len(self._members):
            missing = [n for n in range(len(self._members)) if n not in done]
            if tries > MOST_TRIES:
                raise RuntimeError(
                    f"The shards {missing} were lost with their workers {tries} times "
                    "in a row. Their rows may not fit into a worker's memory: raise "
                    "n_shards, or the workers' limits."
                )
            self._replace(missing)
            done |= self._round(missing, arguments)
            tries += 1
        return [done[number] for number in range(len(self._members))]

    def _round(self, numbers, arguments):
        """What shards come to, as far as their workers live."""
        client, threads, of_worker = self._client, self._workers(), {}
        for number in numbers:
            of_worker.setdefault(self._place_of[number], []).append(number)
        # A task and not scattered data, which a worker would take with it. From its
        # worker the others get the weights.
        with dask().config.set({SIZE_TO_WARN_OF: "1TB"}):
            given = client.submit(_carried, arguments, pure=False)
        futures = {
            client.submit(
                _train, [self._shards[n] for n in own], threads[address], given,
                workers=[address], pure=False,
            ): own
            for address, own in of_worker.items()
            if address in threads
        }  # fmt: skip
        return {
            number: trained
            for future, result in self._settled(futures).items()
            for number, trained in zip(futures[future], result, strict=True)
        }

    def _settled(self, futures):
        """Results of tasks, but for those whose worker has gone."""
        results, left = {}, dict(futures)
        deadline = time.monotonic() + (self._timeout or float("inf"))
        while left:
            ended = self._ended(left)
            if not ended and time.monotonic() > deadline:
                self._give_up(left)
            living = self._workers() if not ended else ()
            for future, numbers in list(left.items()):
                if future in ended:
                    results |= _result_of(future)
                elif ended or self._place_of[numbers[0]] in living:
                    continue
                del left[future]
        return results

    def _ended(self, futures):
        """Those that have ended, in whatever way; none after `LOOK` seconds."""
        distributed = dask("distributed")
        try:
            distributed.wait(list(futures), LOOK, return_when="FIRST_COMPLETED")
        except (distributed.TimeoutError, distributed.CancelledError):
            pass
        return {future for future in futures if future.done()}

    def _give_up(self, left):
        late = sorted({self._place_of[numbers[0]] for numbers in left.values()})
        self._client.cancel(list(left))
        raise TimeoutError(
            f"{', '.join(late)} did not finish a round within timeout="
            f"{self._timeout:g} seconds. Raise timeout, or look at the workers' logs."
        )

    def _replace(self, numbers):
        """Place shards anew whose workers have gone."""
        self._wait_for_workers()
        living = self._workers()
        lost = [n for n in numbers if self._place_of[n] not in living]
        if not lost:
            return
        gone = sorted({self._place_of.pop(number) for number in lost})
        shards = {number: self._members[number] for number in lost}
        needed = sorted({each for own in shards.values() for each in own})
        made = self._client.compute([self._delayed[each] for each in needed])
        self._assign(shards, dict(zip(needed, made, strict=True)), {})
        warnings.warn(
            f"Workers were lost: {', '.join(gone)}. Others train their shards, {lost}, "
            "from the last synchronisation, with a new optimizer."
        )

    # The cluster -----------------------------------------------------------------

    def _workers(self):
        """Threads by the address of each worker that is there."""
        return self._client.nthreads()

    def _wait_for_workers(self):
        if self._workers():
            return
        seconds = WAIT if self._timeout is None else self._timeout
        try:
            self._client.wait_for_workers(1, timeout=seconds)
        except dask("distributed").TimeoutError as error:
            raise TimeoutError(
                f"The cluster had no worker for {seconds:g} seconds."
            ) from error

    def _wait_for_rows(self):
        """Wait for the partitions, and raise the error of the first that has one."""
        left = set(self._parts)
        while left:
            self._wait_for_workers()
            for future in self._ended(left):
                left.remove(future)
                if future.status == "error":
                    raise future.exception()
                if future.status != "finished":
                    raise RuntimeError(
                        "A partition was on a worker that has gone and cannot be "
                        "computed again. Make X and y of files or functions, and not "
                        "of scattered data."
                    )

    @contextmanager
    def turn(self):
        """As `InProcess`, for the workers that hold shards."""
        names = [f"nnfit {address}" for address in set(self._place_of.values())]
        lock = dask("distributed").MultiLock(names, client=self._client)
        is_mine = lock.acquire(timeout=min(self._timeout or WAIT, WAIT))
        if not is_mine and (self._timeout is None or self._timeout > WAIT):
            warnings.warn(OF_ANOTHER)
            is_mine = lock.acquire(timeout=self._timeout)
        if not is_mine:
            raise TimeoutError(
                f"Another fit used the workers for timeout={self._timeout:g} seconds."
            )
        try:
            yield
        finally:
            lock.release()


def _carried(arguments):
    return arguments


def _train(shards, n_threads, arguments):
    return train_all(shards, n_threads, *arguments)


def _result_of(future):
    """A dict of a task's result; empty if the cluster has lost it or its worker."""
    distributed = dask("distributed")
    closed = dask("distributed.comm").CommClosedError
    lost = distributed.CancelledError, distributed.KilledWorker, closed
    try:
        return {future: future.result()}
    except lost:
        return {}


def assigned(parts, who_has, threads, busy=()):
    """Workers for shards: the least busy, of these the one with most partitions.

    Parameters
    ----------
    parts : dict of list
        Keys of the partitions of each shard, by number.
    who_has : dict
        Addresses of workers by the key of a partition.
    threads : dict of int
        Of the workers, by address.
    busy : list of str
        Workers of other shards, one entry for each.

    Returns
    -------
    dict of str
    """
    loads = {address: busy.count(address) for address in threads}
    found = {}
    for number, own in parts.items():

        def order(address, own=own):
            there = sum(address in who_has.get(key, ()) for key in own)
            return loads[address] / threads[address], -there, address

        found[number] = min(threads, key=order)
        loads[found[number]] += 1
    return found
