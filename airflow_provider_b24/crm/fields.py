"""The fields of a list's rows, by the metadata methods that the vendor documents: names, titles, types."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.errors import ConfigurationError, UnexpectedReplyError
from airflow_provider_b24.rest.protocol import Call

if TYPE_CHECKING:
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step

Kind = Literal["string", "integer", "number", "boolean", "date", "datetime", "money", "json"]


@dataclass(frozen=True)
class Field:
    """A field, as the vendor describes it.

    :ivar name: as it stands in the rows of the list method.
    :ivar type: the vendor's word for its type, such as ``crm_status``; ``string`` where a method tells titles only.
    :ivar title: as people see it in the portal, in the portal's language.
    :ivar multiple: whether it holds a list of values.
    :ivar required: whether a row can not be added without it.
    :ivar read_only: whether it can not be written.
    :ivar immutable: whether it can only be written when the row is added.
    :ivar upper_name: the original name, such as ``UF_CRM_3_DIGIT10`` for ``ufCrm_3_DIGIT10``.
    :ivar items: of an enumeration: titles by id.
    :ivar by_id: whether a value stands under an id of its own, as in universal lists: ``{"3747": "7"}``.
    """

    name: str
    type: str
    title: str = ""
    multiple: bool = False
    required: bool = False
    read_only: bool = False
    immutable: bool = False
    upper_name: str = ""
    items: Mapping[str, str] | None = field(default=None, hash=False)
    by_id: bool = False

    @property
    def kind(self) -> Kind:
        """What a column for it holds: ``string``, ``integer``, ``number``, ``boolean``, ``date``, ``datetime``,
        ``money`` or, for all that has parts, ``json``."""
        return "json" if self.multiple else self.value_kind

    @property
    def value_kind(self) -> Kind:
        """What one of its values is; the same as ``kind``, unless it holds several."""
        if self.type == "char":
            return "string" if self.name in _CODES else "boolean"
        if self.type == "enum" and self.items is not None:
            return _kind_of_options(self.items)
        return _KINDS.get(self.type, "json")


_TYPES: dict[Kind, str] = {
    "string": "string text url address crm crm_status crm_currency S S:ECrm S:map_yandex NAME CODE PREVIEW_TEXT "
    "DETAIL_TEXT enum",
    "integer": "integer int user employee enumeration location timestamp iblock_element iblock_section "
    "crm_lead crm_deal crm_contact crm_company crm_quote crm_category crm_entity crm_enum_activitytype "
    "crm_enum_activitystatus crm_enum_activitypriority crm_enum_activitynotifytype crm_enum_activitydirection "
    "crm_enum_contenttype crm_enum_ownertype L G E E:EList N:Sequence S:employee SORT CREATED_BY MODIFIED_BY",
    "number": "double float N",
    "boolean": "boolean bool",
    "date": "date S:Date",
    "datetime": "datetime S:DateTime ACTIVE_FROM ACTIVE_TO DATE_CREATE TIMESTAMP_X",
    "money": "money S:Money",
}
_KINDS: dict[str, Kind] = {name: kind for kind, names in _TYPES.items() for name in names.split()}
# Fields of the type "char" are "Y" or "N", but for these.
_CODES = frozenset(
    {
        "commentary", "currency", "docType", "siteId", "status", "statusId", "statusXmlId", "access", "priceType",
        "domain", "type", "lockedBy", "recurringId", "psStatus", "CATEGORY_ID", "SEMANTICS",
    }
)  # fmt: skip

# What has no types in user.fields, as user.get shows it.
_USER = {
    "ID": "integer",
    "ACTIVE": "boolean",
    "IS_ONLINE": "boolean",
    "LAST_LOGIN": "datetime",
    "DATE_REGISTER": "datetime",
    "TIMESTAMP_X": "datetime",
    "LAST_ACTIVITY_DATE": "datetime",
    "PERSONAL_BIRTHDAY": "date",
    "UF_EMPLOYMENT_DATE": "date",
    "UF_DEPARTMENT": "integer",
}

# Families of methods by the name of the one that describes their fields.
_FAMILIES = {
    "fields": "crm.item crm.deal crm.lead crm.contact crm.company crm.quote crm.activity crm.category crm.type "
    "crm.automatedsolution crm.status crm.currency crm.product crm.productsection crm.productrow crm.item.productrow "
    "crm.requisite crm.requisite.bankdetail crm.requisite.preset crm.requisite.link crm.address crm.invoice "
    "crm.timeline.comment crm.timeline.bindings crm.deal.recurring crm.dealcategory crm.catalog crm.measure crm.vat "
    "crm.product.property crm.paysystem crm.persontype department user tasks.template biconnector.connector "
    "biconnector.dataset biconnector.source",
    "getFields": "tasks.task catalog.catalog catalog.document catalog.document.element catalog.documentcontractor "
    "catalog.extra catalog.measure catalog.price catalog.priceType catalog.priceTypeGroup catalog.priceTypeLang "
    "catalog.productImage catalog.productProperty catalog.productPropertyEnum catalog.productPropertyFeature "
    "catalog.ratio catalog.roundingRule catalog.section catalog.store catalog.storeproduct catalog.vat "
    "crm.orderentity disk.file disk.folder disk.storage sale.basketitem sale.basketproperties "
    "sale.businessValuePersonDomain sale.payment sale.paymentItemShipment sale.persontype sale.propertyRelation "
    "sale.propertygroup sale.propertyvariant sale.shipment sale.shipmentitem sale.shipmentpropertyvalue sale.status "
    "sale.statusLang sale.tradeBinding sale.tradePlatform tasks.api.scrum.backlog tasks.api.scrum.epic "
    "tasks.api.scrum.kanban tasks.api.scrum.sprint tasks.api.scrum.task",
    "getfields": "sale.order sale.paymentitembasket sale.propertyvalue",
    "getFieldsByFilter": "catalog.product catalog.product.offer catalog.product.service catalog.product.sku",
}
_V3_FAMILIES = (
    "tasks.task tasks.task.access tasks.task.chat.message tasks.task.file main.eventlog humanresources.employee "
    "humanresources.node humanresources.node.member mail.mailbox mail.message mail.recipient note.collection "
    "note.document note.document.search note.document.tree note.file call.followup timeman.record"
)
_LISTS = "lists.field.get"
_SOURCES: dict[int, dict[str, str]] = {
    2: {family.lower(): f"{family}.{last}" for last, names in _FAMILIES.items() for family in names.split()}
    | {"lists.element": _LISTS, "lists": _LISTS},
    3: {family.lower(): f"{family}.field.list" for family in _V3_FAMILIES.split()},
}
# The parameters of those methods; the others have none. A star: it can not do without.
_PARAMETERS = {
    "crm.item.fields": ("entityTypeId*", "useOriginalUfNames"),
    "crm.category.fields": ("entityTypeId*",),
    _LISTS: ("IBLOCK_TYPE_ID*", "IBLOCK_ID", "IBLOCK_CODE", "SOCNET_GROUP_ID"),
}
_ENDINGS = (".list", ".getlist", ".get", ".search", ".tail")


def asked_fields(
    peer: Peer,
    method: str,
    params: Mapping[str, Any],
    *,
    version: Literal[2, 3] | None = None,
    of_list: bool = False,
) -> Generator[Step, Any, dict[str, Field]]:
    """The fields of a family of methods, by their names in rows.

    :param method: the family (``crm.item``), or a list method of it (``crm.item.list``).
    :param params: of the method that describes the fields, in any style: ``entity_type_id``, ``entityTypeId``.
    :param version: of the rows; by default 2 where both are documented.
    :param of_list: whether ``params`` are those of the list method, of which the needed ones are taken.
    :raises ConfigurationError: if there is no such family, or its parameters are missing or unknown.
    :raises Bitrix24Error: if the portal could not be asked.
    """
    call = fields_call(method, params, version=version, of_list=of_list)
    reply = yield from converse(peer, call)
    return parse_fields(call.method, reply.result)


def fields_call(
    method: str, params: Mapping[str, Any], *, version: Literal[2, 3] | None = None, of_list: bool = False
) -> Call:
    """The call that tells the fields of a family; see :func:`asked_fields`."""
    family = method.lower()
    ending = next((one for one in _ENDINGS if family.endswith(one)), "")
    family = family.removesuffix(ending)
    versions: tuple[Literal[2, 3], ...] = (2, 3) if version is None else (version,)
    for one in versions:
        if family in _SOURCES[one]:
            source = _SOURCES[one][family]
            return Call(source, _parameters(source, params, of_list=of_list), one)
    known = sorted({name for one in versions for name in _SOURCES[one]})
    raise ConfigurationError(
        f"nothing is known about the fields of {method!r}", advice=f"Families that are known: {', '.join(known)}."
    )


def _parameters(source: str, given: Mapping[str, Any], *, of_list: bool) -> dict[str, Any]:
    by_filter = source.endswith(".getFieldsByFilter")
    starred = ("iblockId*",) if by_filter else _PARAMETERS.get(source, ())
    if of_list and by_filter:
        condition = given.get("filter")
        given = condition if isinstance(condition, Mapping) else {}
    names = {_plain(name): name.rstrip("*") for name in starred}
    asked: dict[str, Any] = {}
    for name, value in given.items():
        if _plain(name) in names:
            asked[names[_plain(name)]] = ("Y" if value else "N") if isinstance(value, bool) else value
        elif not of_list:
            raise ConfigurationError(
                f"{source} has no parameter {name!r}",
                advice=f"It has {', '.join(names.values())}." if names else "It has none.",
            )
    for name in starred:
        if name.endswith("*") and asked.get(name[:-1]) is None:
            raise ConfigurationError(
                f"{source} needs {name[:-1]}", advice=f"Say {name[:-1]}=…; the fields of each are different."
            )
    return {"filter": asked} if by_filter else asked


def _plain(name: str) -> str:
    return name.lstrip("=").rstrip("*").replace("_", "").lower()


def parse_fields(source: str, result: Any) -> dict[str, Field]:
    """The fields, out of what a method that describes them returns.

    :param source: the method's name.
    :raises UnexpectedReplyError: if that is not as documented.
    """
    described: dict[str, Field] = {}
    for name, about in _descriptions(source, result):
        one = _field(source, name, about)
        described[one.name] = one
    # What stands in each row, and is not described.
    if source == _LISTS:
        described = {"ID": Field("ID", "integer", "ID", read_only=True)} | described
    elif source == "crm.item.fields":
        described.setdefault("entityTypeId", Field("entityTypeId", "integer", read_only=True))
    return described


def _descriptions(source: str, result: Any) -> list[tuple[str, Any]]:
    """Names and descriptions: an object by name, alone or under one more name, or a list."""
    if isinstance(result, Mapping) and len(result) == 1:
        (inner,) = result.values()
        described = isinstance(inner, Mapping) and not inner.keys() & {"type", "TYPE"}
        if described or (isinstance(inner, Sequence) and not isinstance(inner, str)):
            result = inner
    if isinstance(result, Mapping):
        return [
            (str(about["FIELD_ID"]) if isinstance(about, Mapping) and "FIELD_ID" in about else str(name), about)
            for name, about in result.items()
        ]
    if isinstance(result, Sequence) and all(isinstance(one, Mapping) for one in result):
        return [(str(one.get("name") or one.get("FIELD_ID") or one.get("title")), one) for one in result]
    raise UnexpectedReplyError("the answer does not describe fields", method=source)


def _field(source: str, name: str, about: Any) -> Field:
    if not isinstance(about, Mapping):
        # Titles only, as user.fields tells them.
        return Field(name, _USER.get(name, "string"), str(about), multiple=name == "UF_DEPARTMENT", upper_name=name)
    told = {_plain(str(key)): value for key, value in about.items()}

    def says(*names: str) -> bool:
        return any(told.get(one) in (True, "Y", 1, "1") for one in names)

    title = told.get("title") if "title" in told else told.get("name")
    kind = str(told.get("type") or "string")
    in_rows = _camel(name) if source == "tasks.task.getFields" else name
    return Field(
        name=in_rows,
        type=kind,
        title=str(title or ""),
        # Of tasks' fields, nothing tells this.
        multiple=says("ismultiple", "multiple") or kind == "array" or in_rows == "ufCrmTask",
        required=says("isrequired", "required"),
        read_only=says("isreadonly", "readonly", "primary") or told.get("editable") is False,
        immutable=says("isimmutable"),
        upper_name=str(told.get("uppername") or name),
        items=_items(told),
        by_id=source == _LISTS and in_rows.startswith("PROPERTY_"),
    )


def _camel(upper: str) -> str:
    first, *others = upper.lower().split("_")
    return first + "".join(word.capitalize() for word in others)


def _items(told: Mapping[str, Any]) -> dict[str, str] | None:
    """The options of an enumeration, in each of the three ways that methods tell them."""
    options = told.get("items") or told.get("values") or told.get("displayvaluesform")
    if isinstance(options, Mapping):
        return {str(key): str(title) for key, title in options.items()}
    if isinstance(options, list):
        return {
            str(one.get("ID")) if isinstance(one, Mapping) else str(one): str(
                one.get("VALUE") if isinstance(one, Mapping) else one
            )
            for one in options
        }
    return None


def _kind_of_options(items: Mapping[str, str]) -> Kind:
    if items and set(items) <= {"Y", "N"}:
        return "boolean"
    return "integer" if items and all(key.isdecimal() for key in items) else "string"
