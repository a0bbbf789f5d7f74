"""The fields of the entries in ``checkpoints/index.json`` and ``checkpoints/demonstrations.json``."""

from __future__ import annotations

from typing import Any, TypedDict


class Published(TypedDict):
    """The fields of an index entry that members and demonstrations have in common. They describe the shipped network.

    It is that of seed 0 of the recipe's first publication, so it is one draw from the distribution of the runs.
    """

    sha256: str
    bytes: int
    parameters: int
    """The number of trained parameters."""
    seed: int
    test_images: int
    command: str
    config: dict[str, Any]
    """The resolved config of the run: seed, model and data with all arguments, settings of the Trainer."""
    versions: dict[str, str]
    machine: dict[str, Any]
    data_md5: dict[str, str]
    golden_rows: list[int]
    """The rows of ten test images. The network's outputs for them are stored as golden values."""
    licence: str
    papers: list[str]


class Run(TypedDict):
    """One training of a member's recipe."""

    seed: int
    test_errors: int
    val_accuracy: float | None
    seconds: float
    """The duration of training and validation together; it depends on the load of the machine at the time."""


class ErrorDistribution(TypedDict):
    """The runs of a member's recipe on one kind of processor or GPU, and the distribution of their test errors."""

    runs_on: str
    """The processor, or the GPU."""
    runs: list[Run]
    """All runs, sorted by seed. The seeds are 0, 1, 2, … without a gap."""
    errors_mean: float
    errors_sd: float | None
    """The sample standard deviation over the runs; None for a single run."""
    errors_mean_ci95: list[float] | None
    """The 95 % interval of the mean by Student's t distribution; None for a single run."""
    errors_percentiles: dict[str, float] | None
    """The percentiles 2.5, 25, 50, 75 and 97.5 by linear interpolation; None for fewer than 30 runs."""
    one_more_run: list[int]
    """The 95 % interval for the test errors of one more run (`zoo.metrics.intervals.prediction_interval`)."""


class OtherErrorDistribution(ErrorDistribution):
    """The runs on another kind of processor or GPU than most of the runs."""

    p_value: float | None
    """Of Student's t-test that the mean is the same on both. None if there are fewer than three runs in all."""


class Entry(Published, ErrorDistribution):
    """The entry of a member in ``checkpoints/index.json``.

    The runs are those on the kind of processor or GPU that has most of them.
    """

    elsewhere: list[OtherErrorDistribution]
    """The runs on other kinds of processors and GPUs."""
    test_errors: int
    test_errors_ci95: list[float]
    """The 95 % Wilson score interval of the shipped network's errors on another test set (`zoo.metrics.intervals`)."""
    nll: float
    """The mean negative log-likelihood on the test images, in nats."""
    calibration_error: float
    """The expected calibration error on the test images with 15 bins (`zoo.pretrained.evaluation.Evaluation`)."""
    temperature: float
    """What divides the logits for calibrated probabilities (`zoo.pretrained.evaluation.Calibration`)."""
    calibrated_error: float
    """The expected calibration error on the test images with that temperature."""
    val_accuracy: float | None
    """None if the recipe has no validation images."""
    images_per_second: float
    golden_logits: list[list[float]]


class LikelihoodMetrics(TypedDict):
    """The metrics of a `zoo.rbm.likelihood.Likelihood` on the test images, in nats.

    The pixels of the images are sampled with seed 0.
    """

    log_likelihood: float
    log_likelihood_low: float
    log_likelihood_high: float
    log_partition: float
    log_partition_reverse: float
    effective_chains: float


class LikelihoodRun(LikelihoodMetrics):
    """One training of an RBM's recipe."""

    seed: int
    seconds: float
    """The duration of training and validation together; it depends on the load of the machine at the time."""


class LikelihoodDistribution(TypedDict):
    """The runs of an RBM's recipe on one kind of processor or GPU, and the distribution of their log-likelihoods."""

    runs_on: str
    """The processor, or the GPU."""
    runs: list[LikelihoodRun]
    """All runs, sorted by seed. The seeds are 0, 1, 2, … without a gap."""
    log_likelihood_mean: float
    log_likelihood_sd: float | None
    """The sample standard deviation over the runs; None for a single run."""
    log_likelihood_mean_ci95: list[float] | None
    """The 95 % interval of the mean by Student's t distribution; None for a single run."""


class OtherLikelihoodDistribution(LikelihoodDistribution):
    """The runs on another kind of processor or GPU than most of the runs."""

    p_value: float | None
    """Of Student's t-test that the mean is the same on both. None if there are fewer than three runs in all."""


class LikelihoodEntry(Published, LikelihoodMetrics, LikelihoodDistribution):
    """The entry of a trained RBM in ``checkpoints/demonstrations.json``.

    The runs are those on the kind of processor or GPU that has most of them.
    """

    elsewhere: list[OtherLikelihoodDistribution]
    """The runs on other kinds of processors and GPUs."""
    golden_free_energies: list[float]
