"""The role that all processes work as."""

from __future__ import annotations

from alembic import op

from callward.platform.database import APPLICATION_ROLE

revision = "0001_platform"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        f"""
        DO $$ BEGIN
          IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APPLICATION_ROLE}') THEN
            CREATE ROLE {APPLICATION_ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS;
          END IF;
          IF NOT pg_has_role(current_user, '{APPLICATION_ROLE}', 'MEMBER') THEN
            EXECUTE format('GRANT {APPLICATION_ROLE} TO %I', current_user);
          END IF;
        END $$
        """
    )
    op.execute(f"GRANT USAGE ON SCHEMA public TO {APPLICATION_ROLE}")
    op.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {APPLICATION_ROLE}")
