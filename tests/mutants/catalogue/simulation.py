"""Names the tests that run the protocol under every fault, which many mutants must not survive."""

RUNS = (
    "tests/simulation/test_simulation.py"
    "::test_every_seed_ends_with_the_fingerprint_of_the_undisturbed_run"
)
STUDIES = "tests/simulation/test_studies.py::test_every_run_of_a_study_ends_as_its_search_does_undisturbed"
