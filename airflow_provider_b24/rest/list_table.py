"""Which list methods there are: what the vendor's documentation says of each. Pure.

A method is read by key where its page documents comparisons in the filter, and sorting, for its id; by offset
otherwise. What a page leaves open is not guessed: such a method is read the weaker way, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_b24.rest.lists import ListMethod

LISTS: dict[str, ListMethod] = {}
LISTS_3: dict[str, ListMethod] = {}


def _add(
    of: ListMethod,
    methods: str | Mapping[str, str],
    name: str = "{}",
    *,
    table: dict[str, ListMethod] = LISTS,
    **more: Any,
) -> None:
    """Enter methods of one kind: words that make the name, or a mapping of such words to where the rows are."""
    words = methods.split() if isinstance(methods, str) else methods
    for word in words:
        rows: dict[str, Any] = {"rows": methods[word]} if isinstance(methods, Mapping) else {}
        table[name.format(word).lower()] = replace(of, **rows, **more)


# By key: sorted by id, and filtered by ">ID".
_KEY = ListMethod()
_KEY_LOWER = ListMethod(key="id", filter_key="id")
# By offset: sorted by id, so that rows that are added come last; and not.
_SORTED = ListMethod(paging="start")
_SORTED_LOWER = replace(_KEY_LOWER, paging="start")
_START = ListMethod(filter="", order="", select=None, paging="start")
_START_LOWER = replace(_START, key="id", filter_key="id")
# All rows in one answer. Where it has a ``next`` all the same, that is followed.
_WHOLE = replace(_START, paging="whole")
_WHOLE_LOWER = replace(_START_LOWER, paging="whole")
_WHOLE_SORTED = replace(_SORTED, paging="whole")

# crm

_CHANGES: dict[str, Any] = {"changed": "DATE_MODIFY", "created": "DATE_CREATE"}
_ITEM: dict[str, Any] = {
    "changed": "updatedTime",
    "created": "createdTime",
    "strict": True,
    "required": ("entityTypeId",),
}
_add(_KEY_LOWER, {"item": "items"}, "crm.{}.list", **_ITEM)
_add(_KEY, "deal lead contact company quote", "crm.{}.list", **_CHANGES)
_add(_KEY, "requisite requisite.bankdetail requisite.preset", "crm.{}.list", **_CHANGES)
_add(_KEY, "crm.activity.list", changed="LAST_UPDATED", created="CREATED")
# Deprecated; its page has no more than that it is like all list methods of the CRM.
_add(_KEY, "crm.product.list", changed="TIMESTAMP_X", created="DATE_CREATE")
_add(_KEY, {"crm.stagehistory.list": "items"}, created="CREATED_TIME", required=("entityTypeId",))
_add(_KEY_LOWER, {"automatedsolution": "automatedSolutions"}, "crm.{}.list", select=None)
_add(_KEY_LOWER, {"type": "types"}, "crm.{}.list", select=None, changed="updatedTime", created="createdTime")
_add(
    _KEY_LOWER,
    {"crm.item.productrow.list": "productRows"},
    select=None,
    required=("filter.ownerType", "filter.ownerId"),
)
_add(_WHOLE_SORTED, "crm.calllist.list", filter="FILTER", order="ORDER", select="SELECT")
_add(_WHOLE, "crm.calllist.items.get", filter="FILTER", required=("LIST_ID",))
_add(_WHOLE, "crm.calllist.statuslist")
_add(_WHOLE_SORTED, "deal lead contact company quote requisite", "crm.{}.userfield.list", select=None)
_add(_WHOLE_SORTED, "crm.invoice.userfield.list crm.status.list crm.product.property.list", select=None)
_add(_WHOLE_SORTED, "crm.vat.list crm.productsection.list")
_add(_WHOLE, "crm.currency.list", key="CURRENCY")
_add(_SORTED, "crm.invoice.list", select=None)
# Deprecated; their pages have no more than that they are like all list methods.
_add(_START, "catalog dealcategory measure paysystem persontype productrow", "crm.{}.list")
_add(_START, "invoice.recurring invoice.status", "crm.{}.list")
_add(_WHOLE_LOWER, {"crm.category.list": "categories"}, required=("entityTypeId",))
_add(_WHOLE, "crm.dealcategory.stage.list", key="STATUS_ID")
_add(_WHOLE, "crm.requisite.preset.field.list", required=("preset.ID",))
_add(_START, "address requisite.link", "crm.{}.list", key="", filter="filter", select="select")
_add(_START, {"orderentity": "orderEntity"}, "crm.{}.list", key="", filter="filter", select="select")
_add(_START_LOWER, "crm.deal.recurring.list", filter="filter")
_add(_SORTED, "crm.timeline.comment.list", required=("filter.ENTITY_ID", "filter.ENTITY_TYPE"))
_add(_WHOLE, "crm.timeline.bindings.list", key="", filter="filter", required=("filter.OWNER_ID",))
_add(
    _SORTED_LOWER,
    "crm.timeline.logmessage.list",
    page=10,
    filter="",
    select=None,
    required=("entityTypeId", "entityId"),
)
_add(_WHOLE_LOWER, "item.payment item.delivery", "crm.{}.list", required=("entityId", "entityTypeId"))
_add(_WHOLE_LOWER, "delivery product", "crm.item.payment.{}.list", required=("paymentId",))
_add(_WHOLE, {"crm.activity.badge.list": "badges"}, key="code")
_add(_WHOLE, "crm.activity.type.list", key="TYPE_ID")
_add(_WHOLE, "crm.activity.binding.list", key="", required=("activityId",))
_add(_WHOLE_LOWER, "crm.duplicate.volatileType.list")
_add(_WHOLE, {"icon": "icons", "logo": "logos"}, "crm.timeline.{}.list", key="code")
_add(_WHOLE, "crm.automation.trigger.list", key="CODE")
_add(_WHOLE, "company deal lead", "crm.{}.contact.items.get", key="CONTACT_ID", required=("id",))
_add(_WHOLE, "crm.contact.company.items.get", key="COMPANY_ID", required=("id",))
_add(_WHOLE, "deal lead quote", "crm.{}.productrows.get", required=("id",))
_add(_WHOLE, "crm.status.entity.items", key="STATUS_ID", required=("entityId",))

# Documents made from templates, of the CRM and of any application.

_DOCUMENT: dict[str, Any] = {"changed": "updateTime", "created": "createTime"}
_add(_KEY_LOWER, {"documentgenerator.document": "documents"}, "crm.{}.list", **_DOCUMENT)
_add(_KEY_LOWER, {"documentgenerator.document": "documents"}, "{}.list", **_DOCUMENT)
# A mapping of rows by their ids: a chain of pages could not name the last one.
_add(_SORTED_LOWER, {"documentgenerator.template": "templates"}, "crm.{}.list", **_DOCUMENT)
_add(_SORTED_LOWER, {"documentgenerator.template": "templates"}, "{}.list", **_DOCUMENT)
_add(_START_LOWER, {"crm.documentgenerator.numerator.list": "numerators"})
_add(_START_LOWER, {"numerator": "numerators", "role": "roles"}, "documentgenerator.{}.list")
_add(_WHOLE, {"documentgenerator.region.list": "regions"}, key="code")

# catalog

_PRODUCT: dict[str, Any] = {
    "changed": "timestampX",
    "created": "dateCreate",
    "required": ("select", "filter.iblockId"),
    "selected": ("iblockId",),
}
_PRODUCTS = {"": "products", ".offer": "offers", ".service": "services", ".sku": "units"}
_add(_KEY_LOWER, _PRODUCTS, "catalog.product{}.list", **_PRODUCT)
_DATED = {"document": "documents", "store": "stores", "roundingRule": "roundingRules"}
_add(_KEY_LOWER, _DATED, "catalog.{}.list", changed="dateModify", created="dateCreate")
_add(_KEY_LOWER, {"priceType": "priceTypes"}, "catalog.{}.list", changed="timestampX", created="dateCreate")
_STAMPED = {"price": "prices", "productProperty": "productProperties", "vat": "vats"}
_add(_KEY_LOWER, _STAMPED, "catalog.{}.list", changed="timestampX")
_CATALOG = {
    "catalog": "catalogs",
    "document.element": "documentElements",
    "documentcontractor": "documentContractor",
    "extra": "extras",
    "measure": "measures",
    "priceTypeGroup": "priceTypeGroups",
    "priceTypeLang": "priceTypeLangs",
    "productPropertyEnum": "productPropertyEnums",
    "productPropertyFeature": "productPropertyFeatures",
    "ratio": "ratios",
    "section": "sections",
    "storeproduct": "storeProducts",
}
_add(_KEY_LOWER, _CATALOG, "catalog.{}.list")
_KEYLESS: dict[str, Any] = {"key": "", "filter": "filter", "select": "select"}
_add(_START, {"productPropertySection": "productPropertySections"}, "catalog.{}.list", **_KEYLESS)
_TYPED: dict[str, Any] = {"required": ("select", "filter.documentType"), "selected": ("documentType",)}
_add(_START, {"userfield.document": "documents"}, "catalog.{}.list", **_KEYLESS, **_TYPED)
_add(_WHOLE_LOWER, {"productImage": "productImages"}, "catalog.{}.list", select="select", required=("productId",))

# sale

_add(
    _KEY_LOWER,
    {"order": "orders", "basketitem": "basketItems"},
    "sale.{}.list",
    changed="dateUpdate",
    created="dateInsert",
)
_INSERTED = {
    "paymentItemShipment": "paymentItemsShipment",
    "paymentitembasket": "paymentItemsBasket",
    "shipment": "shipments",
    "shipmentitem": "shipmentItems",
}
_add(_KEY_LOWER, _INSERTED, "sale.{}.list", created="dateInsert")
_SALE = {
    "basketproperties": "basketProperties",
    "payment": "payments",
    "persontype": "personTypes",
    "property": "properties",
    "propertyvalue": "propertyValues",
    "shipmentproperty": "properties",
    "shipmentpropertyvalue": "propertyValues",
    "tradeBinding": "tradeBindings",
    "tradePlatform": "tradePlatforms",
}
_add(_KEY_LOWER, _SALE, "sale.{}.list")
# Their ids are letters.
_add(_SORTED_LOWER, {"status": "statuses"}, "sale.{}.list")
_add(
    _START,
    {
        "businessValuePersonDomain": "businessValuePersonDomains",
        "propertyRelation": "propertyRelations",
        "statusLang": "statusLangs",
    },
    "sale.{}.list",
    **_KEYLESS,
)
_WHOLE_SALE = {"propertygroup": "propertyGroups", "propertyvariant": "propertyVariants"}
_add(replace(_SORTED_LOWER, paging="whole"), _WHOLE_SALE, "sale.{}.list")
_CAPITAL: dict[str, Any] = {"filter": "FILTER", "order": "ORDER", "select": "SELECT"}
_add(_WHOLE_SORTED, "sale.cashbox.list sale.delivery.getlist sale.paysystem.list", **_CAPITAL)
_add(_WHOLE, "cashbox delivery paysystem", "sale.{}.handler.list")

# tasks, groups, processes

_add(_KEY, {"tasks.task.list": "tasks"}, key="id", changed="CHANGED_DATE", created="CREATED_DATE")
_add(_WHOLE_SORTED, "task.checklistitem.getlist", filter="", order="ORDER", select=None, required=("TASKID",))
_add(_WHOLE_SORTED, "task.commentitem.getlist", filter="FILTER", order="ORDER", select=None, required=("TASKID",))
_add(_WHOLE_SORTED, "task.item.userfield.getlist", filter="FILTER", order="ORDER", select=None)
_add(_WHOLE_LOWER, {"tasks.task.history.list": "list"}, filter="filter", required=("taskId",))
_add(_WHOLE_LOWER, "tasks.task.result.list", required=("taskId",))
_add(_WHOLE_LOWER, {"tasks.template.checklist.list": "checkListItems"}, required=("templateId",))
_add(_WHOLE, "task.planner.getlist", key="")
_add(_WHOLE, "task.logitem.list", key="")
_add(_KEY_LOWER, "tasks.api.scrum.epic.list", filter_key="ID")
_add(_SORTED_LOWER, "tasks.api.scrum.sprint.list", filter_key="ID")
_add(_KEY, "sonet_group.get", filter="FILTER", order="ORDER", select=None, changed="DATE_UPDATE", created="DATE_CREATE")
_add(_KEY_LOWER, {"socialnetwork.api.workgroup.list": "workgroups"}, filter_key="ID", required=("select",))
_add(_KEY, "bizproc.task.list", changed="MODIFIED", position=("START", ""), **_CAPITAL)
_add(_KEY, "bizproc.workflow.template.list", changed="MODIFIED", required=("SELECT",), **_CAPITAL)
_add(_SORTED, "bizproc.workflow.instances", changed="MODIFIED", **_CAPITAL)
_add(_WHOLE, "bizproc.activity.list bizproc.robot.list", key="")

# people

_add(
    _KEY,
    "user.get",
    filter="FILTER",
    order=("sort", "order"),
    parameters=("admin_mode", "image_resize", "auth"),
    changed="TIMESTAMP_X",
    created="DATE_REGISTER",
)
_add(_SORTED, "user.search", filter="FILTER", order=("sort", "order"))
_add(_SORTED, "department.get", filter="", order=("sort", "order"), select=None, position=("START", ""))
_add(_WHOLE_SORTED, "user.userfield.list", select=None)
_add(_SORTED_LOWER, {"userfieldconfig.list": "fields"}, required=("moduleId",))

# lists of rows that a portal's own people define; application's storage; drive; news; events; telephony

_LIST = ("IBLOCK_TYPE_ID", "IBLOCK_ID|IBLOCK_CODE")
_add(
    _SORTED,
    "lists.element.get",
    filter="FILTER",
    order="ELEMENT_ORDER",
    select="SELECT",
    created="DATE_CREATE",
    required=_LIST,
)
_add(_SORTED, "lists.get", filter="", order="IBLOCK_ORDER", select=None, required=_LIST[:1])
_add(_WHOLE, "lists.section.get", filter="FILTER", select="SELECT", required=_LIST)
_ENTITY: dict[str, Any] = {
    "filter": "FILTER",
    "order": "SORT",
    "select": None,
    "changed": "TIMESTAMP_X",
    "created": "DATE_CREATE",
}
_add(_KEY, "entity.item.get entity.section.get", required=("ENTITY",), **_ENTITY)
_FILES: dict[str, Any] = {"select": None, "changed": "UPDATE_TIME", "created": "CREATE_TIME", "required": ("id",)}
_add(_KEY, "disk.folder.getChildren disk.storage.getChildren", **_FILES)
_add(_KEY, "disk.storage.getList", select=None)
_add(_START, "disk.file.getVersions", filter="filter", required=("id",))
_add(_START, "log.blogpost.get")
_add(_KEY, "event.offline.list", select=None, changed="TIMESTAMP_X")
_CALLS: dict[str, Any] = {"filter": "FILTER", "order": ("SORT", "ORDER"), "select": None}
_add(_KEY, "voximplant.statistic.get", created="CALL_START_DATE", **_CALLS)
_add(_START, "voximplant.sip.get", key="CONFIG_ID", filter="FILTER")
_add(
    _START_LOWER,
    {"rpa.item.list": "items", "rpa.stage.listForType": "stages", "rpa.timeline.listForItem": "timeline"},
    required=("typeId",),
)
_add(_START_LOWER, {"rpa.type.list": "types"})

# By the number of a page, or by an offset of their own kind.

_PAGES = replace(_KEY_LOWER, paging="page", position=("page", ""))
_add(_PAGES, "connector dataset source", "biconnector.{}.list")
_OFFSET = replace(_START_LOWER, paging="offset", position=("offset", "limit"))
_HCM: dict[str, Any] = {"page": 1000}
_add(_OFFSET, "company.list company.user.list", "humanresources.hcmlink.{}", **_HCM)
_add(_OFFSET, "humanresources.hcmlink.employee.list", required=("company",), **_HCM)
_add(_OFFSET, "sign.b2e.mysafe.tail sign.b2e.personal.tail", **_HCM)
_add(_OFFSET, "sign.b2e.company.provider.list", key="uid", required=("companyUuid|companyCrmId",), **_HCM)
_add(_OFFSET, {"imbot.v2.Bot.list": "bots"})
_add(_OFFSET, "imopenlines.config.list.get", key="ID", page=200, position=("PARAMS.offset", "PARAMS.limit"))
_CHAT = replace(_OFFSET, position=("OFFSET", "LIMIT"))
_add(_CHAT, "im.search.chat.list")
_add(_CHAT, "im.search.department.list", required=("FIND",))
_add(_CHAT, {"im.search.user.list": "{}"}, required=("FIND",))
_add(_CHAT, "im.department.colleagues.list")
_add(_CHAT, "im.dialog.users.list", page=200, required=("DIALOG_ID",))
_add(
    replace(_START_LOWER, paging="before", position=("LAST_ID", "LIMIT")),
    {"im.dialog.messages.get": "messages"},
    required=("DIALOG_ID",),
)
# The list is sorted by the last message, and moves with every one: all that one answer may hold, or an error.
_add(_WHOLE_LOWER, {"im.recent.list": "items"}, page=200, position=("", "LIMIT"))
_add(_WHOLE_LOWER, "imbot.v2.Chat.User.list", page=200, position=("", "limit"), required=("botId", "dialogId"))

# Short lists of settings, all in one answer.

_add(_WHOLE_LOWER, {"imbot.v2.Command.list": "commands"}, required=("botId",))
_add(_WHOLE, "im.chat.user.list imbot.chat.user.list", key="", required=("CHAT_ID",))
_add(_WHOLE_LOWER, "ai.engine.list", filter="filter")
_add(_WHOLE_LOWER, {"booking": "booking", "resource": "resource", "resourceType": "resource"}, "booking.v1.{}.list")
_add(_WHOLE_LOWER, {"booking.v1.waitlist.list": "waitList"}, filter="filter")
_add(_WHOLE_LOWER, {"client": "bookingClient"}, "booking.v1.booking.{}.list", required=("bookingId",))
_add(_WHOLE_LOWER, {"client": "waitListClient"}, "booking.v1.waitlist.{}.list", required=("waitListId",))
_add(_WHOLE, {"booking": "externalData"}, "booking.v1.{}.externalData.list", key="", required=("bookingId",))
_add(_WHOLE, {"waitlist": "externalData"}, "booking.v1.{}.externalData.list", key="", required=("waitListId",))
_add(_WHOLE_LOWER, {"booking.v1.resource.slots.list": "slots"}, required=("resourceId",))
_add(_WHOLE, {"booking.v1.clienttype.list": "clientType"}, key="")
# An event that recurs is there several times.
_add(_WHOLE, "calendar.resource.booking.list", key="", required=("filter",))
_add(_WHOLE, "calendar.event.get", key="", required=("type", "ownerId"))
_add(_WHOLE, "calendar.section.get", required=("type", "ownerId"))
_add(_WHOLE, "sonet_group.user.get", key="USER_ID", required=("ID",))
_add(_WHOLE, "sonet_group.user.groups", key="GROUP_ID")
_add(_WHOLE, "calendar.resource.list mailservice.list userconsent.agreement.list")
_add(_WHOLE, "messageservice.sender.list placement.list", key="")
_add(_WHOLE, "userfieldtype.list", key="USER_TYPE_ID")
_add(_WHOLE, {"imbot.bot.list": "{}"})
_add(
    _WHOLE, "demos.getList landing.getList repo.getList repowidget.getlist site.getList template.getlist", "landing.{}"
)
_add(_WHOLE_LOWER, "landing.block.getlist", required=("lid",))
_add(_WHOLE, "landing.role.getList")
_add(_WHOLE, "landing.site.getFolders", required=("siteId",))

# What can not be read to its end.

_BY_HAND = "Call it with hook.call, page by page, as its documentation says."
_REFUSED = ListMethod(paging="refused", advice=_BY_HAND)
_add(
    _REFUSED, "disk.file.search", advice="It finds 1000 objects at most: disk.folder.getChildren lists all of a folder."
)
_add(_REFUSED, "event.offline.get", advice="It takes away what it returns; event.offline.list is read without that.")
_add(
    _REFUSED,
    "im.v2.Event.get imbot.v2.Event.get",
    advice="It confirms what was read before: take its nextOffset with hook.call.",
)
_add(_REFUSED, "im.notify.get im.notify.history.search im.dialog.messages.search log.blogcomment.user.get")
_add(_REFUSED, "vote.AttachedVote.getAnswerVoted task.elapseditem.getlist")
_add(_REFUSED, "task.item.list task.items.getlist", advice="tasks.task.list has the same rows.")

# REST 3.0

_3: dict[str, Any] = {"table": LISTS_3, "rows": "items"}
_LOGGED: dict[str, Any] = {"changed": "timestampX", "created": "timestampX"}
_KEY_3 = replace(_KEY_LOWER, position=("pagination.page", "pagination.limit"))
_add(_KEY_3, "tasks.task.list", page=1000, required=("select",), **_3)
_add(_KEY_3, "main.eventlog.list", **_3, **_LOGGED)
_TAIL = replace(_KEY_LOWER, paging="tail", position=("cursor.value", "cursor.limit"), order="")
_add(_TAIL, "main.eventlog.tail", **_3, **_LOGGED)
_PAGED = replace(_START_LOWER, paging="offset", position=("pagination.offset", "pagination.limit"))
_add(_PAGED, "humanresources.node.list", page=200, select="select", required=("type",), **_3)
_add(_PAGED, "mail.mailbox.list", page=100, **_3)
_add(_PAGED, "mail.mailbox.senders", page=100, key="", **_3)
_add(_PAGED, "mail.message.list mail.recipient.listcontacts mail.recipient.listemployees", page=200, **_3)
_RECORDS = replace(_KEY_LOWER, paging="offset", position=_PAGED.position)
_add(_RECORDS, "timeman.record.list", created="startTime", required=("filter.userId",), **_3)
_CURSOR = replace(_START_LOWER, paging="cursor", page=200, position=("pagination.afterCursor", "pagination.limit"))
_add(_CURSOR, "note.collection.list", cursor="nextCursor", **_3)
_PERIOD: dict[str, Any] = {"filter": "filter", "select": "select", "required": ("filter.startDate",)}
_add(_CURSOR, "call.followup.list", key="callId", cursor="afterCursor", **_3, **_PERIOD)
# The first page only: a full one is an error.
_FIRST = replace(_WHOLE_LOWER, page=200, position=("", "pagination.limit"))
_add(_FIRST, "humanresources.node.search", required=("type", "name"), **_3)
_add(_FIRST, "note.document.search.list", key="documentId", required=("query",), **_3)
_add(_WHOLE_LOWER, "note.document.tree.list", required=("collectionId",), **_3)
_add(_WHOLE_LOWER, "humanresources.node.children", required=("id",), select="select", **_3)
_add(_WHOLE_LOWER, "humanresources.employee.search", key="userId", required=("name",), **_3)
_add(_WHOLE_LOWER, "tasks.task.result.list", required=("taskId",), **_3)
_FIELDS = """
    call.followup humanresources.employee humanresources.node humanresources.node.member mail.mailbox mail.message
    mail.recipient main.eventlog note.collection note.document note.document.search note.document.tree note.file
    tasks.task tasks.task.access tasks.task.chat.message tasks.task.file timeman.record
"""
_add(_WHOLE_LOWER, " ".join(_FIELDS.split()), "{}.field.list", key="name", select="select", **_3)
_SHORT = "It returns 50 messages at most, and does not say whether that is all."
_add(_REFUSED, "mail.message.thread", advice=_SHORT, **_3)
