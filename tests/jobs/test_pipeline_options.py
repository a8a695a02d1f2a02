"""Beam's options with views that are kept."""

import copy

from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions, StandardOptions, WorkerOptions

from jobs.pipeline_options import KeptOptions

ARGUMENTS = ["--runner=PrismRunner", "--streaming", "--experiments=one", "--unheard_of=3"]


def test_a_view_is_made_once_and_says_what_beams_own_says() -> None:
    ours, theirs = KeptOptions(ARGUMENTS), PipelineOptions(ARGUMENTS)
    for kind in (StandardOptions, SetupOptions, WorkerOptions):
        assert ours.view_as(kind) is ours.view_as(kind)
        kept, made = ours.view_as(kind), theirs.view_as(kind)
        assert {name: getattr(kept, name) for name in kept._visible_option_list()} == {
            name: getattr(made, name) for name in made._visible_option_list()
        }
    assert ours.get_all_options() == theirs.get_all_options()


def test_what_is_set_in_one_view_is_seen_in_all() -> None:
    options = KeptOptions(ARGUMENTS)
    before = options.view_as(StandardOptions)
    options.view_as(StandardOptions).runner = "FlinkRunner"
    assert before.runner == options.view_as(PipelineOptions).view_as(StandardOptions).runner == "FlinkRunner"


def test_a_copy_has_views_of_its_own() -> None:
    options = KeptOptions(ARGUMENTS)
    options.view_as(StandardOptions)
    other = copy.deepcopy(options)
    other.view_as(StandardOptions).runner = "FlinkRunner"
    assert options.view_as(StandardOptions).runner == "PrismRunner"
    assert other.get_all_options()["runner"] == "FlinkRunner"
