"""Which embedder and reranker a benchmark of quality measures, from its command to the mesh that serves them."""

import argparse

from bench.kit.mesh import MeshConfig
from services.models.rerank.check import LATE_INTERACTION
from services.runtime.embedders import EMBEDDERS


def add_options(parser: argparse.ArgumentParser) -> None:
    """--embedder, --rerank and --reranker."""
    parser.add_argument(
        "--embedder", choices=list(EMBEDDERS), default="", help="of the collections; a mesh that runs must serve it"
    )
    parser.add_argument(
        "--rerank",
        type=int,
        default=0,
        metavar="N",
        help="rerank the best N hits of a search; a mesh that runs must serve that (0)",
    )
    parser.add_argument(
        "--reranker", default=LATE_INTERACTION, metavar="NAME", help=f"the reranker ({LATE_INTERACTION})"
    )


def mesh_config(options: argparse.Namespace) -> MeshConfig:
    """That of a mesh that serves what is measured; a busy machine is given time to rerank."""
    settings = {"HEADWORKS_MODELS_EMBEDDERS": options.embedder} if options.embedder else {}
    if options.rerank:
        settings |= {"HEADWORKS_MODELS_RERANKER": options.reranker, "HEADWORKS_RETRIEVAL_RERANK_SECONDS": "60"}
    return MeshConfig(settings=settings)


def facts(options: argparse.Namespace) -> dict[str, object]:
    """For the report."""
    reranker = options.reranker if options.rerank else ""
    return {"embedder": options.embedder, "rerank": options.rerank, "reranker": reranker}
