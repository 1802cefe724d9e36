"""python -m initlab.recommend: which initialization to use for one network on one data set, with the evidence."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from initlab.command import CONF, run_command


@hydra.main(config_path=str(CONF), config_name="recommend", version_base="1.3")
def app(config: DictConfig) -> None:
    """Recommend of a single job: what launchers other than initlab's call for each."""
    from initlab.jobs import job_from
    from initlab.recommending import run_recommend

    run_recommend([job_from(config, list(HydraConfig.get().overrides.task))])


def main() -> None:
    """Run the command line."""
    run_command(app)


if __name__ == "__main__":
    # Not this module's own functions: another process could not find what stands in __main__.
    from initlab import recommend

    recommend.main()
