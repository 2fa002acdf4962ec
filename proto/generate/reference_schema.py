"""The .proto files with their comments and rules, as reference.py and its pages read them."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# Numbers of the fields in FileDescriptorProto, DescriptorProto … that the paths of source comments are made of.
FILE_MESSAGE, FILE_ENUM, FILE_SERVICE = 4, 5, 6
MESSAGE_FIELD, MESSAGE_MESSAGE, MESSAGE_ENUM = 2, 3, 4
ENUM_VALUE, SERVICE_METHOD = 2, 2
OURS = "macula/v1/"

# What a format is called where its name in options.proto would not say it.
FORMAT_NAMES = {
    "ip": "IP address",
    "cidr": "address/prefix length",
    "host_port": "host:port",
    "url": "URL",
    "https_url": "https URL",
    "mode": "octal permissions",
    "cron": "cron expression",
    "mac": "hardware address",
    "key32": "32-byte key",
    "user_nkey": "public user nkey",
    "window": "time window",
    "ssh_key": "SSH key",
    "env_name": "variable name",
    "ports": "port or range of ports",
}


def code(text):
    """Text as Markdown code, also when it holds backticks."""
    text = text.replace("\n", "\\n")
    return "`` %s ``" % text if "`" in text else "`%s`" % text


def lines(text):
    stripped = [line[1:] if line.startswith(" ") else line for line in text.rstrip().split("\n")]
    return "\n".join(line.rstrip() for line in stripped).strip("\n")


def message_class(pool, name):
    """The Python class of a message in our own pool; the call was renamed in protobuf 4.22."""
    descriptor = pool.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


class Schema:
    def __init__(self, path):
        with open(path, "rb") as file:
            files = descriptor_pb2.FileDescriptorSet.FromString(file.read()).file
        pool = descriptor_pool.DescriptorPool()
        for file in files:
            pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
        self.options_class = message_class(pool, "google.protobuf.FieldOptions")
        self.rule_extension = pool.FindExtensionByName("macula.v1.rule")
        self.rule_class = message_class(pool, "macula.v1.FieldRule")
        self.messages, self.enums, self.comments, self.services = {}, {}, {}, []
        # The order of the files is their names', not the order in which protoc met their imports.
        self.files = sorted((file for file in files if file.name.startswith(OURS)), key=lambda file: file.name)
        for file in self.files:
            self.read(file)
        self.formats = {v.number: v.name for v in self.enum(".macula.v1.FieldRule.Format").value}

    def read(self, file):
        names = {}

        def enum(path, scope, item):
            name = scope + "." + item.name
            names[path] = name
            self.enums[name] = item
            for i, value in enumerate(item.value):
                names[path + (ENUM_VALUE, i)] = name + "." + value.name

        def message(path, scope, item):
            name = scope + "." + item.name
            names[path] = name
            self.messages[name] = item
            for i, field in enumerate(item.field):
                names[path + (MESSAGE_FIELD, i)] = name + "." + field.name
            for i, nested in enumerate(item.nested_type):
                message(path + (MESSAGE_MESSAGE, i), name, nested)
            for i, nested in enumerate(item.enum_type):
                enum(path + (MESSAGE_ENUM, i), name, nested)

        scope = "." + file.package
        for i, item in enumerate(file.message_type):
            message((FILE_MESSAGE, i), scope, item)
        for i, item in enumerate(file.enum_type):
            enum((FILE_ENUM, i), scope, item)
        for i, service in enumerate(file.service):
            self.services.append((file, service))
            names[(FILE_SERVICE, i)] = scope + "." + service.name
            for j, method in enumerate(service.method):
                names[(FILE_SERVICE, i, SERVICE_METHOD, j)] = scope + "." + service.name + "." + method.name
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            parts = [lines(location.leading_comments), lines(location.trailing_comments)]
            if name and any(parts):
                self.comments[name] = "\n".join(part for part in parts if part)

    def message(self, name):
        return self.messages[name if name.startswith(".") else "." + name]

    def enum(self, name):
        return self.enums[name]

    def comment(self, name):
        return self.comments.get(name, "")

    def sentence(self, name):
        """A comment on one line, for a table."""
        return " ".join(self.comment(name).split()).replace("|", "\\|")

    def rule(self, field):
        options = self.options_class()
        options.ParseFromString(field.options.SerializeToString())
        if options.HasExtension(self.rule_extension):
            return options.Extensions[self.rule_extension]
        return self.rule_class()

    def is_map(self, field):
        return field.type == field.TYPE_MESSAGE and field.type_name in self.messages and \
            self.messages[field.type_name].options.map_entry

    def map_value(self, field):
        return self.messages[field.type_name].field[1]

    def format_name(self, number):
        name = self.formats[number]
        return FORMAT_NAMES.get(name, name.replace("_", " "))

    def yaml_example(self, field, rule):
        """The example as it stands in a YAML file: text that YAML would read as something else is quoted."""
        text = rule.example
        is_text = field.type == field.TYPE_STRING and field.label != field.LABEL_REPEATED
        if not is_text:
            return text
        special = text[:1] in "!&*?|>%@`'\"#[]{},-:" or ": " in text or " #" in text or text == "" or "\\n" in text
        is_number = text.replace(".", "", 1).isdigit()
        return '"%s"' % text.replace('"', '\\"') if special or is_number else text
