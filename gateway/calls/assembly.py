"""The pipeline and what it is made of, wired from the settings."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from gateway.audit.layer import Audit
from gateway.budgets.alerts import AlertNotifier
from gateway.budgets.service import Budgets
from gateway.budgets.store import BudgetStore
from gateway.cache.service import AnswerCache
from gateway.calls.background import BackgroundTasks
from gateway.calls.bare import BareCalls
from gateway.calls.pipeline import CallPipeline
from gateway.guard.injection.classifier import InjectionClassifier
from gateway.guard.injection.rules import Rules
from gateway.guard.injection.triton import TritonModel
from gateway.guard.policies import Policies
from gateway.guard.policy import read
from gateway.guard.store import KIND as GUARDS
from gateway.guard.store import GuardStore
from gateway.guard.terms.library import Library
from gateway.limits.redis_counters import RedisCounters
from gateway.limits.service import RateLimits, RuleBook, default_rule
from gateway.limits.store import KIND as LIMITS
from gateway.limits.store import LimitStore
from gateway.settings import GatewaySettings
from services.llm.client import HttpClient
from services.llm.difficulty.triton import TritonTextEmbedder
from services.llm.handle import BareModel
from services.llm.models import ModelFactory, read_file, share_breakers
from services.llm.settings import LlmSettings, secret
from services.runtime.records.assembly import Records
from services.runtime.triton import TritonClient


async def open_pipeline(
    settings: GatewaySettings,
    records: Records,
    audit: Audit,
    policies: Policies,
    background: BackgroundTasks,
    keeps_content: Callable[[str], bool],
    cache: AnswerCache,
    resources: AsyncExitStack,
) -> CallPipeline:
    """Closed with `resources`; before `records.changes` is opened."""
    limits = await _open_limits(settings, records, resources)
    budgets = await _open_budgets(settings, records, audit, resources)
    return CallPipeline(limits, policies, budgets, audit, background, keeps_content, cache)


async def open_bare(
    settings: GatewaySettings,
    models: LlmSettings,
    pipeline: CallPipeline,
    triton: TritonClient,
    resources: AsyncExitStack,
) -> BareCalls:
    """Closed with `resources`. Raises BadCatalogue."""
    client = HttpClient(settings.upstream_connections or models.connections)
    await client.open()
    resources.push_async_callback(client.aclose)
    file = read_file(models, settings.upstreams_file, "HEADWORKS_GATEWAY_UPSTREAMS_FILE")
    engines = ModelFactory(client, secret, embedder=TritonTextEmbedder(triton, models.difficulty_embed_seconds))
    entries = {entry.name: entry for entry in file.entries}
    bare: dict[str, BareModel] = {name: engines.bare(entry) for name, entry in entries.items() if entry.bare}
    bare |= {route.name: engines.bare_route(route, entries) for route in file.routes if route.bare}
    await share_breakers(models.redis_url or settings.redis_url, engines, resources)
    return BareCalls(bare, pipeline, file.default)


def open_guards(
    settings: GatewaySettings,
    records: Records,
    triton: TritonClient,
    background: BackgroundTasks,
    resources: AsyncExitStack,
) -> Policies:
    """Closed with `resources`. Raises InvalidArgument or OSError where the guards' file is wrong."""
    classifier = InjectionClassifier(TritonModel(triton), Rules())
    resources.push_async_callback(classifier.aclose)
    store = GuardStore(records.database)
    library = Library(settings.terms_dir)
    policies = Policies(store, read(settings.guards_file), library, classifier, background.add)
    records.changes.follow(GUARDS, policies.reload)
    return policies


async def _open_limits(settings: GatewaySettings, records: Records, resources: AsyncExitStack) -> RateLimits:
    book = RuleBook(
        default_rule(
            settings.limits_requests_per_minute,
            settings.limits_tokens_per_minute,
            settings.limits_concurrent_streams,
        )
    )
    store = LimitStore(records.database)
    records.changes.follow(LIMITS, lambda: book.reload(store))
    shared = None
    if settings.redis_url:
        shared = RedisCounters(settings.redis_url, settings.limits_redis_seconds, settings.limits_stream_lease_seconds)
    limits = RateLimits(book, shared, settings.limits_when_redis_is_gone)
    await limits.open()
    resources.push_async_callback(limits.aclose)
    return limits


async def _open_budgets(
    settings: GatewaySettings, records: Records, audit: Audit, resources: AsyncExitStack
) -> Budgets:
    notifier = AlertNotifier(BudgetStore(records.database), settings.budget_alert_url, settings.budget_alert_seconds)
    budgets = Budgets(
        records.database, records.writer, notifier, settings.replica_name,
        lease=settings.budget_lease_seconds, patience=settings.budget_patience_seconds,
        abandoned=audit.abandoned,
    )  # fmt: skip
    budgets.follow(records.changes)
    await budgets.open()
    resources.push_async_callback(budgets.aclose)
    return budgets
