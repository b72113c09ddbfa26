from sqlalchemy import text
from callward.platform.database import Scope


async def test_x(database):
    async with database.begin(Scope.provider()) as s:
        assert (await s.execute(text("select current_user"))).scalar() == "callward_app"
