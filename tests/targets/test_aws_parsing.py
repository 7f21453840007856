"""EC2's answers come out of our parser as they do out of botocore's, and an odd one doesn't come out at all."""

import json
from xml.etree import ElementTree as ET

import pytest
from botocore.model import ServiceModel
from botocore.parsers import EC2QueryParser, ResponseParserError, ResponseParserFactory

from ipsync.targets.aws import answers, calls, parsing, service_models

SPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


@pytest.fixture(scope="module")
def ec2():
    return ServiceModel(service_models.loader(None).load_service_model("ec2", "service-2"), "ec2")


def element(shape, tag, *, full, depth=0):
    """An element with every member that its shape has, two of each list; or with none."""
    kind = shape.type_name
    if kind == "structure":
        inner = [
            element(m, m.serialization.get("name", n), full=full, depth=depth + 1) for n, m in shape.members.items()
        ]
        inside = "".join(inner if full else inner[::2]) + "<unknownOfLater><item>1</item></unknownOfLater>"
    elif kind == "list":
        inside = element(shape.member, "item", full=full, depth=depth + 1) * (2 if full else 0)
    else:
        inside = {"boolean": "true", "integer": "443", "long": "9999999999"}.get(kind, "tëxt &lt;&amp; ")
        inside = inside if full or kind in {"integer", "long"} else ""
    return f"<{tag}>{inside}</{tag}>"


def answered(operation, *, full, space=f' xmlns="{SPACE}"'):
    name = f"{operation.name}Response"
    shape = operation.output_shape
    inside = "<requestId>r-1</requestId>" + (element(shape, "x", full=full)[3:-4] if shape else "<return>true</return>")
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}{space}>{inside}</{name}>'.encode()
    return {"status_code": 200, "headers": {"Date": "now"}, "body": body, "context": {}}


@pytest.mark.parametrize("space", [f' xmlns="{SPACE}"', ""])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("name", sorted(calls.kept("ec2")))
def test_it_is_what_botocore_reads(ec2, name, full, space):
    operation = ec2.operation_model(name)
    response = answered(operation, full=full, space=space)
    response[parsing.ROOT] = ET.fromstring(response["body"])
    ours = parsing.Ec2Parser().parse(response, operation.output_shape)
    assert ours == EC2QueryParser().parse(response, operation.output_shape)
    assert json.dumps(ours, sort_keys=True)
    assert operation.output_shape is None or parsing.reader(operation.output_shape), "or botocore's own was compared"


def test_an_error_is_read_by_botocore(ec2):
    operation = ec2.operation_model("DescribeSecurityGroupRules")
    text = b"<Response><Errors><Error><Code>C</Code><Message>m</Message></Error></Errors><RequestID>r</RequestID></Response>"
    response = {"status_code": 400, "headers": {}, "body": text, "context": {}}
    answers.demand(operation_model=operation, response_dict=response)
    found = parsing.Ec2Parser().parse(response, operation.output_shape)
    assert (found["Error"]["Code"], found["ResponseMetadata"]["RequestId"]) == ("C", "r")


def test_an_element_that_stands_there_twice_is_no_answer(ec2):
    operation = ec2.operation_model("DescribeSecurityGroupRules")
    response = answered(operation, full=True)
    response["body"] = response["body"].replace(b"<groupId>", b"<groupId>sg-1</groupId><groupId>", 1)
    answers.demand(operation_model=operation, response_dict=response)
    assert parsing.ROOT in response, "read once"
    with pytest.raises(ResponseParserError, match=r"two <.*groupId> in one <.*item>"):
        parsing.Ec2Parser().parse(response, operation.output_shape)


def test_a_shape_that_takes_more_is_left_to_botocore(ec2):
    whole = ServiceModel(
        {
            "metadata": {"protocol": "ec2"},
            "operations": {},
            "shapes": {
                "Dated": {"type": "structure", "members": {"At": {"shape": "Time"}}},
                "Time": {"type": "timestamp"},
                "Flat": {"type": "structure", "members": {"All": {"shape": "Some"}}},
                "Some": {"type": "list", "member": {"shape": "Text"}, "flattened": True},
                "Text": {"type": "string"},
                "Again": {"type": "structure", "members": {"Inner": {"shape": "Again"}}},
                "Heard": {"type": "structure", "members": {"H": {"shape": "Text", "location": "header"}}},
            },
        }
    )
    for name in ("Dated", "Flat", "Again", "Heard"):
        assert parsing.reader(whole.shape_for(name)) is None, name


def test_other_protocols_have_botocores_own():
    assert type(parsing.Parsers().create_parser("query")) is type(ResponseParserFactory().create_parser("query"))
    assert isinstance(parsing.Parsers().create_parser("ec2"), parsing.Ec2Parser)
