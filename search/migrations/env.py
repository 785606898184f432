"""Run migrations on the connection that :meth:`search.store.Store.migrate` hands over."""

from alembic import context

from search.store import VERSION_TABLE
from search.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
