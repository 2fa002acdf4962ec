"""The .proto files as protoc describes them: what all generators here read."""

from google.protobuf import descriptor_pb2, message_factory

# Numbers of the fields in FileDescriptorProto, DescriptorProto … that the paths of source comments are made of.
FILE_MESSAGE, FILE_ENUM, FILE_SERVICE = 4, 5, 6
MESSAGE_FIELD, MESSAGE_MESSAGE, MESSAGE_ENUM = 2, 3, 4
ENUM_VALUE, SERVICE_METHOD = 2, 2


def message_class(pool, name):
    """The Python class of a message in our own pool; the call was renamed in protobuf 4.22."""
    descriptor = pool.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


def read_files(path):
    with open(path, "rb") as file:
        return descriptor_pb2.FileDescriptorSet.FromString(file.read()).file


def _enum(path, scope, item):
    name = scope + "." + item.name
    yield path, name, item
    for i, value in enumerate(item.value):
        yield path + (ENUM_VALUE, i), name + "." + value.name, value


def _message(path, scope, item):
    name = scope + "." + item.name
    yield path, name, item
    for i, field in enumerate(item.field):
        yield path + (MESSAGE_FIELD, i), name + "." + field.name, field
    for i, nested in enumerate(item.nested_type):
        yield from _message(path + (MESSAGE_MESSAGE, i), name, nested)
    for i, nested in enumerate(item.enum_type):
        yield from _enum(path + (MESSAGE_ENUM, i), name, nested)


def elements(file):
    """(path, full name, descriptor) of everything in a file; the path is that of its comment."""
    for i, item in enumerate(file.message_type):
        yield from _message((FILE_MESSAGE, i), file.package, item)
    for i, item in enumerate(file.enum_type):
        yield from _enum((FILE_ENUM, i), file.package, item)
    for i, item in enumerate(file.service):
        name = file.package + "." + item.name
        yield (FILE_SERVICE, i), name, item
        for j, method in enumerate(item.method):
            yield (FILE_SERVICE, i, SERVICE_METHOD, j), name + "." + method.name, method


def comment_of(location):
    """Leading and trailing comment as one text, without the space after // and without blank lines around."""
    parts = []
    for text in (location.leading_comments, location.trailing_comments):
        lines = [line[1:] if line.startswith(" ") else line for line in text.rstrip().split("\n")]
        parts.append("\n".join(line.rstrip() for line in lines).strip("\n"))
    return "\n".join(part for part in parts if part)
