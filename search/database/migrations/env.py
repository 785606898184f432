"""Run migrations on the connection that :meth:`search.database.store.Store.migrate` hands over."""

from alembic import context

from search.database.store import VERSION_TABLE
from search.database.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
