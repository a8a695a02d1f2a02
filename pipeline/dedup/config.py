"""The settings of the table [dedup]."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.dedup.curve import DEFAULT_PRESET, PRESETS, Banding, choose_banding
from pipeline.dedup.decontaminate_config import DecontaminateConfig
from pipeline.dedup.passages_config import PassagesConfig
from pipeline.dedup.settings import require

if TYPE_CHECKING:
    from pipeline.dedup.shingles import Shingling


@dataclass(frozen=True, kw_only=True)
class DedupConfig:
    """How duplicates are found and which of them survives."""

    near: bool = True
    """Look for near duplicates too; exact ones are always removed."""
    shingle_words: int = 5
    """Words in a shingle. Documents with fewer words are compared exactly only."""
    shingle_characters: int = 10
    """Characters in a shingle, for documents mostly in scripts without spaces (Chinese, Japanese, Thai, …)."""
    fold_digits: bool = False
    """Treat all digits as equal, so that pages which differ in numbers alone are alike."""
    fold_accents: bool = False
    """Take accents off letters, so that `Natásha` and `Natasha` are one word. In many languages they tell words apart."""
    preset: Literal["28x5", "20x7", "14x8", "20x13", "450x20", "custom"] = "28x5"
    """Bands × rows of the signature: 28x5 finds 99.95 % of the pairs at the threshold 0.75, so that the exact
    comparison decides; 20x7 finds 94 %, 14x8 (FineWeb) 77 %, 20x13 (NeMo Curator) 38 %, 450x20 (RefinedWeb) 76 %;
    or `custom`."""
    bands: int = 0
    """Bands, with preset = "custom"."""
    rows: int = 0
    """Rows in a band, with preset = "custom"."""
    target_similarity: float | None = None
    """Choose bands and rows for this similarity instead, within `num_permutations`."""
    num_permutations: int = 128
    """The longest signature that `target_similarity` may choose."""
    seed: int = 1
    """Seed of the permutations; signatures compare only with those of the same seed."""
    threshold: float = 0.75
    """Candidates are duplicates when the Jaccard similarity of their shingle sets is at least this."""
    survivor: Literal["smallest_id", "earliest", "longest", "best_measure", "preferred_source"] = "smallest_id"
    """Which member of a cluster is kept; the smallest id decides between equals."""
    survivor_measure: str = ""
    """The measure whose highest value survives, with survivor = "best_measure" (its name in measures/)."""
    preferred_sources: tuple[str, ...] = ()
    """Sources in order of preference, with survivor = "preferred_source"."""
    one_per_address: bool = False
    """Keep one document of each address, whatever the texts are: the one that `survivor` prefers. For the same pages in several
    archives. HTTP and HTTPS, fragments and tracking parameters make no difference; what has no such address is left alone."""
    max_bucket: int = 64
    """Documents with the same band key that are compared all with all; in a larger bucket each is compared
    with the 16 smallest ids and the 16 before it."""
    max_pairs_in_memory: int = 5_000_000
    """Verified pairs up to which one worker joins the clusters (200 bytes each); beyond, rounds over partitions do."""
    alarm_cluster_size: int = 1000
    """A cluster larger than this raises an alarm in the log and in duplicates/clusters.json."""
    cluster_sizes: bool = False
    """Tell of each document how many of the input it stands for, as the column `cluster_size`: 1 where it has no duplicate."""
    keep_signatures: bool = False
    """Keep the signatures of the survivors as the dataset signatures/, for `against` of a later run."""
    passages: PassagesConfig = field(default_factory=PassagesConfig)
    """Lines or paragraphs that many documents repeat."""
    decontaminate: DecontaminateConfig = field(default_factory=DecontaminateConfig)
    """Evaluation items that must not be in the documents."""
    against: tuple[str, ...] = ()
    """Folders of kept signatures (of earlier runs): what is a duplicate of a document there is rejected."""

    def __post_init__(self) -> None:
        require(self.shingle_words >= 1, "dedup.shingle_words", self.shingle_words, "1 or more")
        require(self.shingle_characters >= 1, "dedup.shingle_characters", self.shingle_characters, "1 or more")
        require(0 < self.threshold <= 1, "dedup.threshold", self.threshold, "above 0, up to 1")
        require(self.max_bucket >= 2, "dedup.max_bucket", self.max_bucket, "2 or more")
        require(self.max_pairs_in_memory >= 0, "dedup.max_pairs_in_memory", self.max_pairs_in_memory, "0 or more")
        require(self.alarm_cluster_size >= 2, "dedup.alarm_cluster_size", self.alarm_cluster_size, "2 or more")
        require(0 <= self.seed < 1 << 32, "dedup.seed", self.seed, "0 up to 2**32 - 1")
        self._check_banding()
        self._check_survivor()

    def _check_banding(self) -> None:
        custom = self.preset == "custom"
        require(custom or self.preset in PRESETS, "dedup.preset", self.preset, f"one of {', '.join(PRESETS)}, custom")
        for name, value in (("bands", self.bands), ("rows", self.rows)):
            require(
                value >= 1 if custom else value == 0,
                f"dedup.{name}",
                value,
                "1 or more with preset = 'custom', else unset",
            )
        if self.target_similarity is not None:
            require(
                0 < self.target_similarity < 1, "dedup.target_similarity", self.target_similarity, "between 0 and 1"
            )
            require(self.preset == DEFAULT_PRESET, "dedup.preset", self.preset, "unset beside dedup.target_similarity")
        require(
            1 <= self.num_permutations <= 100_000, "dedup.num_permutations", self.num_permutations, "1 up to 100000"
        )

    def _check_survivor(self) -> None:
        by_measure, by_source = (self.survivor == "best_measure", self.survivor == "preferred_source")
        allowed = f"{'set' if by_measure else 'unset'} with dedup.survivor = {self.survivor!r}"
        require(bool(self.survivor_measure) == by_measure, "dedup.survivor_measure", self.survivor_measure, allowed)
        allowed = f"{'set' if by_source else 'unset'} with dedup.survivor = {self.survivor!r}"
        require(bool(self.preferred_sources) == by_source, "dedup.preferred_sources", self.preferred_sources, allowed)

    @property
    def banding(self) -> Banding:
        """The bands and rows that these settings ask for."""
        if self.target_similarity is not None:
            return choose_banding(self.target_similarity, self.num_permutations)
        return Banding(self.bands, self.rows) if self.preset == "custom" else PRESETS[self.preset]

    @property
    def shingling(self) -> "Shingling":
        """What a shingle is."""
        from pipeline.dedup.shingles import Shingling  # here: it imports numba, and reading settings does without

        return Shingling(
            words=self.shingle_words,
            characters=self.shingle_characters,
            fold_digits=self.fold_digits,
            fold_accents=self.fold_accents,
        )
