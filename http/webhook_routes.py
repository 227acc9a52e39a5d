"""The route table, the part of webhooks: served where there are any to keep."""

from __future__ import annotations

from . import webhook_calls as calls
from .calls import Endpoint
from .keys import Permission
from .problems import Table
from .webhooks.dispatch import DeliveryNotFound, HookNotFound, TooManyHooks
from .webhooks.targets import TargetRefused

MANAGE = Permission.MANAGE  # also to read: a hook's URL is nobody's business

WEBHOOK_PROBLEMS: Table = {
    HookNotFound: (404, "Webhook not found"),
    DeliveryNotFound: (404, "Delivery not found"),
    TargetRefused: (422, "Webhook refused"),
    TooManyHooks: (409, "Too many webhooks"),
}

_HOOKS = "/api/admin/webhooks"

WEBHOOK_ENDPOINTS = (
    Endpoint(
        method="GET",
        path=_HOOKS,
        handler=calls.list_hooks,
        permission=MANAGE,
        summary="List the webhooks, the oldest first",
        tag="Webhooks",
        answers=((200, calls.HookList),),
    ),
    Endpoint(
        method="POST",
        path=_HOOKS,
        handler=calls.add_hook,
        permission=MANAGE,
        summary="Tell a URL when tasks end; its secret is shown this once",
        tag="Webhooks",
        params=calls.NewHook,
        body="json",
        answers=((200, calls.HookMade),),
        problems=(409,),
    ),
    Endpoint(
        method="GET",
        path=f"{_HOOKS}/{{hook_id}}",
        handler=calls.show_hook,
        permission=MANAGE,
        summary="Show a webhook",
        tag="Webhooks",
        answers=((200, calls.HookView),),
        problems=(404,),
    ),
    Endpoint(
        method="DELETE",
        path=f"{_HOOKS}/{{hook_id}}",
        handler=calls.remove_hook,
        permission=MANAGE,
        summary="Forget a webhook and what it is owed",
        tag="Webhooks",
        answers=((200, calls.HookRemoved),),
        problems=(404,),
    ),
    Endpoint(
        method="POST",
        path=f"{_HOOKS}/{{hook_id}}/test",
        handler=calls.test_hook,
        permission=MANAGE,
        summary="Tell a webhook something of no meaning, and say what came of it",
        tag="Webhooks",
        answers=((200, calls.Tested),),
        problems=(404,),
    ),
    Endpoint(
        method="GET",
        path=f"{_HOOKS}/{{hook_id}}/deliveries",
        handler=calls.list_deliveries,
        permission=MANAGE,
        summary="List what a webhook was and is to be told, newest first; `dead`: given up",
        tag="Webhooks",
        params=calls.DeliveryFilter,
        answers=((200, calls.DeliveryList),),
        problems=(404,),
    ),
    Endpoint(
        method="POST",
        path=f"{_HOOKS}/{{hook_id}}/deliveries/{{delivery_id}}/retry",
        handler=calls.try_again,
        permission=MANAGE,
        summary="Tell a webhook again, from the first attempt on",
        tag="Webhooks",
        answers=((200, calls.DeliveryView),),
        problems=(404,),
    ),
)
