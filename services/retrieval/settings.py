"""Settings of the retrieval service."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from services.retrieval.ingest.ocr import LANGUAGES
from services.runtime.settings import RecordsUrl, ServerSettings


class RetrievalSettings(ServerSettings):
    """HEADWORKS_RETRIEVAL_*."""

    service: ClassVar[str] = "retrieval"

    store: Literal["edge", "qdrant", "pgvector"] = Field(
        "edge",
        description="Where passages are kept: edge (in this process, under data_dir), qdrant (a server) or pgvector (a "
        "PostgreSQL server with that extension).",
    )
    data_dir: Path = Field(
        Path(".headworks/retrieval"), description="Folder of the edge store. One process at a time can own it."
    )
    records_url: RecordsUrl | None = Field(
        None,
        description="Database of files and vector stores, shared by all replicas: sqlite:///<file> or "
        "postgresql://<user>@<host>/<database>; unset is records.db in data_dir.",
    )
    records_timeout_seconds: float = Field(
        5, gt=0, description="Longest time one transaction of the records may take, waiting included."
    )
    identity_former_keys: tuple[Path, ...] = Field(
        (),
        description="PEM files of the identity_public_keys of before, whose mesh's database is this mesh's.",
    )
    max_files_bytes: int = Field(
        4 << 30,
        gt=0,
        description="Bytes of uploaded files that a tenant may keep. One file is at most as long as a document.",
    )
    min_free_bytes: int = Field(
        512 << 20,
        ge=0,
        description="Free bytes on the disk of the edge store or of the files below which writes get"
        " RESOURCE_EXHAUSTED; reads and deletions go on.",
    )
    max_open_collections: int = Field(
        64,
        ge=2,
        description="Collections that the edge store has open at once, each with a thread, files and memory of its own;"
        " the one unused for longest is closed for the next.",
    )
    collection_idle_seconds: float = Field(
        600, gt=0, description="How long a collection of the edge store stays open after its last call."
    )
    qdrant_url: str = Field("http://127.0.0.1:6334", description="gRPC address of the Qdrant server.")
    qdrant_api_key: str = Field("", description="API key for the Qdrant server; empty sends none.")
    pgvector_url: RecordsUrl | None = Field(
        None,
        description="Database of the pgvector store: postgresql://<user>@<host>/<database>; unset is records_url.",
    )
    triton_target: str = Field("xds:///triton", description="gRPC target of the Triton server with the model embed.")
    embedder: str = Field(
        "all-minilm-l6-v2",
        description="Embedder of a collection for which none is named: all-minilm-l6-v2, or multilingual-e5-small "
        "where HEADWORKS_MODELS_EMBEDDERS names it.",
    )
    store_threads: int = Field(4, gt=0, description="Threads that run the edge store's calls.")
    embed_seconds: float = Field(30, gt=0, description="Longest time the embedding of a batch of passages may take.")
    query_embed_seconds: float = Field(
        3,
        gt=0,
        description="Longest time a search waits for its query's embedding; then it goes by words alone (BM25).",
    )
    rerank_languages: str = Field(
        "en",
        description="Languages that the reranker reads, by ISO 639-1 codes with commas between; empty for all. "
        "Searches in others are not reranked.",
    )
    rerank_seconds: float = Field(
        3, gt=0, description="Longest time a search waits for the reranker; then its hits stay in their order."
    )
    embed_batch: int = Field(16, gt=0, le=128, description="Passages per call of the embedding model.")
    embed_calls: int = Field(4, gt=0, description="Such calls that are open at once; two an instance keep it busy.")
    max_document_bytes: int = Field(32 << 20, gt=0, description="Longest document, in bytes.")
    max_bytes_in_flight: int = Field(
        96 << 20, gt=0, description="Bytes of documents held at once, all ingestions together; reading waits beyond."
    )
    max_documents_in_flight: int = Field(32, gt=0, description="Documents of one ingestion worked on at once.")
    max_ingests: int = Field(
        16,
        gt=0,
        description="Ingestions served at once; more get RESOURCE_EXHAUSTED. One tenant gets three quarters at most.",
    )
    read_seconds: float = Field(
        60,
        gt=0,
        description="Longest processor time a document may take to be read; then it is unreadable. It has five "
        "seconds, and five more for each MiB, and no more than this; and eight times as long on a busy machine.",
    )
    read_workers: int = Field(
        1,
        gt=0,
        description="Processes that read PDF, HTML and long documents at once; beside "
        "them is one for those of up to 256 KiB.",
    )
    read_memory_bytes: int = Field(
        2 << 30, gt=0, description="Address space of such a process, in bytes; a document needing more is unreadable."
    )

    ocr: str = Field(
        "",
        pattern=rf"^(?:{LANGUAGES})?$",
        description="Languages in which pages of PDFs without text are read by OCR, as tesseract names them: eng+deu; "
        "empty reads none. It needs the programs tesseract and pdftoppm (tesseract-ocr and poppler-utils).",
    )
    ocr_seconds: float = Field(
        300, gt=0, description="Longest time that OCR may take for one document; what is left has no text."
    )

    @model_validator(mode="after")
    def _pgvector_is_in_postgres(self) -> Self:
        if self.store == "pgvector" and not self.points.startswith("postgres"):
            raise ValueError("the pgvector store needs a database: set pgvector_url, or records_url, to postgresql://…")
        return self

    @property
    def points(self) -> str:
        """The URL of the pgvector store's database."""
        return self.pgvector_url or self.records

    @property
    def records(self) -> str:
        """The URL of the database."""
        return self.records_url or f"sqlite:///{self.data_dir / 'records.db'}"
