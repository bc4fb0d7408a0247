"""What a training run is: sizes, steps, rates, and a switch for every mechanism of the method."""

from dataclasses import asdict, dataclass
from typing import get_type_hints

from pairalign.errors import PairAlignError

# what each number may be
LIMITS: dict[str, tuple[float, float]] = {
    "codes": (0, 65_536), "seed": (0, 2**31), "stage1_steps": (0, 10**9), "stage2_steps": (0, 10**9),
    "stage3_steps": (0, 10**9), "augmentation_batch": (2, 4096), "realization_batch": (2, 4096),
    "string_batch": (2, 4096), "realization_share": (0, 1), "min_s": (0.3, 10), "max_s": (0.3, 10),
    "learning_rate": (1e-8, 1), "stage3_learning_rate": (1e-8, 1), "encoder_rate_scale": (0, 10),
    "warmup_steps": (1, 10**9), "weight_decay": (0, 1), "clip_norm": (1e-3, 1e3), "ema_decay": (0, 1),
    "contrast_temperature": (0.01, 10), "phone_weight": (0, 100), "phone_pull": (0, 100), "masked_share": (0, 0.9),
    "shared_negatives": (1, 100_000), "wanted_rate_hz": (2, 22), "consensus_views": (1, 32), "code_cost": (0, 10),
    "eos_weight": (0.01, 100), "prefix_corruption": (0, 0.5), "guide_weight": (0, 100), "onset_weight": (0, 100),
    "name_weight": (0, 100),
    "bridge_floor": (0, 1), "length_guard": (0, 100), "contrast_weight": (0, 100), "contrast_strings": (1, 1000),
    "string_temperature": (0.01, 100), "validate_every": (1, 10**9), "validation_segments": (2, 100_000),
    "save_every_s": (0, 10**6), "threads": (0, 1024), "view_strength": (0.1, 1.5),
}  # fmt: skip
TARGETS = ("codes", "own")
LENGTH_CONTROLS = ("gain", "likelihood", "random", "none")


@dataclass(frozen=True)
class TrainConfig:
    """One run. Everything random follows from `seed`; a resumed run must have the same config.

    Mechanisms of stage III (docs/how-it-works.md; each can be ablated): teacher_targets (1), cross_paired (2),
    prefix_corruption > 0 (3), contrast_weight > 0 and column_contrast (4), length_control (5).
    The sixth, timing recovery, is post hoc; guide_weight and onset_weight are what trains the attention it reads.
    """

    preset: str = "small"
    codes: int = 0  # 0: the preset's vocabulary
    seed: int = 1
    # stage lengths in optimizer steps; 0 skips a stage
    stage1_steps: int = 2000
    stage2_steps: int = 2000
    stage3_steps: int = 1500
    # batches
    augmentation_batch: int = 16
    realization_batch: int = 24
    string_batch: int = 24
    realization_share: float = 2 / 3  # of stage I steps, where words are known; 0 is fully self-supervised
    min_s: float = 0.4
    max_s: float = 3.0
    view_strength: float = 1.0  # of the strong views that are learned from; measured is always at 1
    # optimization
    learning_rate: float = 1e-3
    stage3_learning_rate: float = 4e-4
    encoder_rate_scale: float = 0.0  # stage III learning rate of the encoder over the decoder's; 0 keeps it frozen
    warmup_steps: int = 100
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    ema_decay: float = 0.996
    autocast: bool = True  # bf16 matrix products
    # stage I
    contrast_temperature: float = 0.1
    masked_share: float = 0.15
    shared_negatives: int = 256
    phone_weight: float = 1.0  # of the phones of known words; only with --lexicon
    # stages II and III
    targets: str = "codes"  # "codes": the bridge's strings; "own": what the checkpoint of --init itself writes
    share_words: bool = True  # with "own": several speakers' recordings of one transcript get one string
    wanted_rate_hz: float = 12.7
    consensus_views: int = 4  # views whose latents are averaged for a bridge target
    phone_pull: float = 1.0  # weight of a phone's mean latents beside the latents themselves, in bridge targets
    code_cost: float = 0.3  # of a frame of a rare code in a bridge target, in nats per nat of rarity
    eos_weight: float = 2.0
    prefix_corruption: float = 0.25
    guide_weight: float = 0.3
    onset_weight: float = 0.3
    name_weight: float = 1.0
    # stage III
    teacher_targets: bool = True
    bridge_floor: float = 0.25  # share of bridge targets that stays: pure self-training lets strings shrink
    length_guard: float = 1.33  # a teacher string this much longer or shorter than the bridge's is not believed; 0: off
    cross_paired: bool = True
    contrast_weight: float = 0.3
    column_contrast: bool = True
    contrast_strings: int = 3
    string_temperature: float = 0.5
    length_control: str = "gain"
    # bookkeeping
    validate_every: int = 250
    validation_segments: int = 96
    save_every_s: float = 120.0
    threads: int = 0  # CPU threads; 0 leaves torch's choice. Part of the run: sums depend on it in the last bit

    def __post_init__(self) -> None:
        """Raises ValueError when a value makes no sense."""
        if self.length_control not in LENGTH_CONTROLS:
            raise PairAlignError(f"length_control is {self.length_control!r}; use one of {', '.join(LENGTH_CONTROLS)}.")
        if self.targets not in TARGETS:
            raise PairAlignError(f"targets is {self.targets!r}; use one of {', '.join(TARGETS)}.")
        if self.preset not in ("tiny", "small", "base"):
            raise PairAlignError(f"preset is {self.preset!r}; use tiny, small or base.")
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:  # NaN fails too
                raise PairAlignError(f"{name} is {getattr(self, name)}; use {low:g} to {high:g}.")
        if self.codes == 1:
            raise PairAlignError("codes is 1; use 2 or more, or 0 for the preset's.")
        if self.min_s > self.max_s:
            raise PairAlignError(f"min_s {self.min_s} is more than max_s {self.max_s}; segments need min_s <= max_s.")
        if 0 < self.length_guard < 1:
            raise PairAlignError(f"length_guard is {self.length_guard}; use 0 (off), or a ratio of 1 or more.")

    @property
    def total_steps(self) -> int:
        """Steps of all three stages."""
        return self.stage1_steps + self.stage2_steps + self.stage3_steps

    def stage_at(self, step: int) -> tuple[int, int, int]:
        """(stage 1..3, step within it, its length) of a global step."""
        for stage, length in enumerate((self.stage1_steps, self.stage2_steps, self.stage3_steps), start=1):
            if step < length:
                return stage, step, length
            step -= length
        return 3, self.stage3_steps, self.stage3_steps

    def to_dict(self) -> dict:
        """As log and sidecar hold it."""
        return asdict(self)


def parse_overrides(pairs: list[str]) -> dict:
    """``["codes=64", "teacher_targets=false"]`` -> keyword arguments of TrainConfig.

    Raises: ValueError for an unknown name or a value of the wrong type.
    """
    kinds = get_type_hints(TrainConfig)
    values: dict = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or name not in kinds:
            raise PairAlignError(f"--set {pair}: use NAME=VALUE with NAME one of {', '.join(kinds)}.")
        try:
            values[name] = _parse(text, kinds[name])
        except ValueError:
            kind = getattr(kinds[name], "__name__", kinds[name])
            raise PairAlignError(f"--set {pair}: {name} is a {kind}.") from None
    return values


def _parse(text: str, kind: type) -> object:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise PairAlignError(text)
        return text.lower() == "true"
    return kind(text)
