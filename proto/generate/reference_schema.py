"""The .proto files with their comments and rules, as reference.py and its pages read them."""

from google.protobuf import descriptor_pb2, descriptor_pool

from descriptors import comment_of, elements, message_class, read_files

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
    "disk": "path, name or serial number of a disk",
}


def code(text):
    """Text as Markdown code, also when it holds backticks."""
    text = text.replace("\n", "\\n")
    return "`` %s ``" % text if "`" in text else "`%s`" % text


def lines(text):
    stripped = [line[1:] if line.startswith(" ") else line for line in text.rstrip().split("\n")]
    return "\n".join(line.rstrip() for line in stripped).strip("\n")


class Schema:
    def __init__(self, path):
        files = read_files(path)
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
        for path, name, item in elements(file):
            names[path] = name
            if isinstance(item, descriptor_pb2.DescriptorProto):
                self.messages["." + name] = item
            elif isinstance(item, descriptor_pb2.EnumDescriptorProto):
                self.enums["." + name] = item
            elif isinstance(item, descriptor_pb2.ServiceDescriptorProto):
                self.services.append((file, item))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            comment = comment_of(location)
            if name and comment:
                self.comments["." + name] = comment

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
