/* The formats of options.proto, one function each. A function says whether the text fits; the table says in words what
 * was expected. They are strict: what a format lets through, the program that gets the text later understands. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "codec/codec-internal.h"

static bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c) {
    return is_lower((char)(c | 0x20)) && (c & 0x40);
}

static bool is_alnum(char c) {
    return is_alpha(c) || is_digit(c);
}

/* All bytes of text are alphanumeric or one of `others`. */
static bool only(const char *text, size_t length, const char *others) {
    for (size_t i = 0; i < length; i++)
        if (!is_alnum(text[i]) && (!text[i] || !strchr(others, text[i])))
            return false;
    return true;
}

/* A decimal number without sign or leading zeros, at most max, that is all of the text. */
static bool number(const char *text, size_t length, unsigned long max) {
    unsigned long value = 0;
    if (!length || length > 9 || (length > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i]))
            return false;
        value = value * 10 + (unsigned long)(text[i] - '0');
    }
    return value <= max;
}

/* RFC 1123 section 2.1. */
static bool label(const char *text, size_t length) {
    return length >= 1 && length <= 63 && is_alnum(text[0]) && is_alnum(text[length - 1]) && only(text, length, "-");
}

/* localhost is, on every machine, that machine itself (RFC 6761 section 6.3): as a name it would lead every other one
 * to itself, and this one past 127.0.1.1. */
static bool is_hostname(const char *text) {
    return label(text, strlen(text)) && strcasecmp(text, "localhost") != 0;
}

static bool domain(const char *text, size_t length) {
    if (!length || length > 253)
        return false;
    for (;;) {
        const char *dot = memchr(text, '.', length);
        size_t part = dot ? (size_t)(dot - text) : length;
        if (!label(text, part))
            return false;
        if (!dot)
            return true;
        text += part + 1;
        length -= part + 1;
    }
}

/* A name whose last label is all digits would be read as an address by many programs. */
static bool is_domain(const char *text) {
    const char *last = strrchr(text, '.');
    last = last ? last + 1 : text;
    return domain(text, strlen(text)) && !number(last, strlen(last), 999999999);
}

static bool is_duration(const char *text) {
    uint64_t ms;
    return mac_value_duration(text, &ms) == 0;
}

static bool is_size(const char *text) {
    uint64_t bytes;
    return mac_value_size(text, &bytes) == 0;
}

static bool is_percent(const char *text) {
    double percent;
    return mac_value_percent(text, &percent) == 0;
}

static bool is_ip(const char *text) {
    struct in6_addr address;
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_cidr(const char *text) {
    const char *slash = strchr(text, '/');
    if (!slash)
        return false;
    mac_autofree char *address = mac_strndup(text, (size_t)(slash - text));
    unsigned long bits = strchr(address, ':') ? 128 : 32;
    return is_ip(address) && number(slash + 1, strlen(slash + 1), bits);
}

static bool is_host(const char *text) {
    return is_ip(text) || is_domain(text);
}

static bool port(const char *text) {
    return number(text, strlen(text), 65535) && !mac_streq(text, "0");
}

/* host, host:port, [v6], [v6]:port: text is all of it. */
static bool authority(const char *text, bool needs_port) {
    const char *colon = strrchr(text, ':');
    if (*text == '[') {
        const char *end = strchr(text, ']');
        if (!end)
            return false;
        mac_autofree char *address = mac_strndup(text + 1, (size_t)(end - text - 1));
        struct in6_addr v6;
        if (inet_pton(AF_INET6, address, &v6) != 1)
            return false;
        return end[1] == ':' ? port(end + 2) : !end[1] && !needs_port;
    }
    if (!colon)
        return !needs_port && is_host(text);
    mac_autofree char *host = mac_strndup(text, (size_t)(colon - text));
    return !strchr(host, ':') && is_host(host) && port(colon + 1);
}

static bool is_host_port(const char *text) {
    return authority(text, true);
}

/* RFC 3986: a scheme, then printable ASCII without what it forbids. */
static bool url_text(const char *text) {
    size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    if (!is_alpha(text[0]) || strncmp(text + scheme, "://", 3) != 0 || !text[scheme + 3])
        return false;
    for (const char *p = text; *p; p++)
        if (*p <= 0x20 || *p >= 0x7f || strchr("\"<>\\^`{|}", *p))
            return false;
    return true;
}

static bool is_url(const char *text) {
    size_t scheme = strcspn(text, ":");
    if (!url_text(text))
        return false;
    /* github://OWNER/REPO and file:///PATH have no host of their own. */
    if (strncmp(text, "http", 4) != 0 || (scheme != 4 && scheme != 5))
        return true;
    const char *start = text + scheme + 3;
    mac_autofree char *host = mac_strndup(start, strcspn(start, "/?#"));
    const char *at = strrchr(host, '@');
    return authority(at ? at + 1 : host, false);
}

static bool is_https_url(const char *text) {
    return mac_starts_with(text, "https://") && is_url(text);
}

static bool is_endpoint(const char *text) {
    return authority(text, false) || is_ip(text) || is_url(text);
}

static bool is_path(const char *text) {
    if (text[0] != '/' || strlen(text) >= 4096)
        return false;
    for (const char *part = text; part; part = strchr(part, '/')) {
        part++;
        size_t length = strcspn(part, "/");
        if (length > 255 || (length == 1 && part[0] == '.') || (length == 2 && memcmp(part, "..", 2) == 0))
            return false;
    }
    return true;
}

static bool is_device(const char *text) {
    return mac_starts_with(text, "/dev/") && text[5] && is_path(text);
}

/* A serial number is whatever the maker printed; a path is told by its slash. */
static bool is_disk(const char *text) {
    size_t length = strlen(text);
    if (text[0] == '/')
        return is_device(text);
    for (const char *p = text; *p; p++)
        if (*p < 0x20 || *p >= 0x7f)
            return false;
    return length && length <= 255 && text[0] != ' ' && text[length - 1] != ' ';
}

static bool is_mode(const char *text) {
    size_t length = strlen(text);
    return (length == 3 || length == 4) && !text[strspn(text, "01234567")];
}

static bool is_interface_name(const char *text) {
    size_t length = strlen(text);
    if (!length || length > 15 || mac_streq(text, ".") || mac_streq(text, ".."))
        return false;
    for (; *text; text++)
        if (*text <= 0x20 || *text >= 0x7f || *text == '/' || *text == ':')
            return false;
    return true;
}

/* Components joined by a separator, each of [A-Za-z0-9] and `others`, not empty. */
static bool parts(const char *text, char separator, const char *others, size_t at_most) {
    for (size_t count = 1;; count++) {
        size_t length = (size_t)(strchrnul(text, separator) - text);
        if (!length || count > at_most || !only(text, length, others))
            return false;
        if (!text[length])
            return true;
        text += length + 1;
    }
}

static bool is_timezone(const char *text) {
    return strlen(text) <= 64 && is_alpha(text[0]) && parts(text, '/', "_+-", 3);
}

/* C, POSIX, de_DE, en_US.UTF-8, sr_RS@latin. */
static bool is_locale(const char *text) {
    size_t length = strlen(text);
    return length && length <= 64 && is_alpha(text[0]) && only(text, length, "_.-@") && !strstr(text, "..");
}

static bool is_keymap(const char *text) {
    size_t length = strlen(text);
    return length && length <= 64 && is_alnum(text[0]) && only(text, length, "_.+-") && !strstr(text, "..");
}

/* net.ipv4.ip_forward; the names of interfaces within may be written net/ipv4/conf/eth0.1/forwarding. */
static bool is_sysctl_key(const char *text) {
    bool slashes = strchr(text, '/') != NULL;
    if (strlen(text) > 255 || !is_alpha(text[0]) || strstr(text, ".."))
        return false;
    return slashes ? parts(text, '/', "_-.", 16) : strchr(text, '.') && parts(text, '.', "_-:", 16);
}

static bool is_module_name(const char *text) {
    size_t length = strlen(text);
    return length && length <= 63 && is_alnum(text[0]) && only(text, length, "_-");
}

/* The names of Kubernetes: begin and end with a letter or digit. */
static bool qualified(const char *text, size_t length) {
    return length && length <= 63 && is_alnum(text[0]) && is_alnum(text[length - 1]) && only(text, length, "-_.");
}

static bool label_key(const char *text, size_t length) {
    const char *slash = memchr(text, '/', length);
    if (!slash)
        return qualified(text, length);
    size_t prefix = (size_t)(slash - text);
    return domain(text, prefix) && qualified(slash + 1, length - prefix - 1);
}

static bool is_label_key(const char *text) {
    return label_key(text, strlen(text));
}

static bool is_label_value(const char *text) {
    return !*text || qualified(text, strlen(text));
}

static bool is_taint(const char *text) {
    static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute"};
    const char *colon = strrchr(text, ':');
    bool known = false;
    for (size_t i = 0; colon && i < MAC_ARRAY_SIZE(effects); i++)
        known |= mac_streq(colon + 1, effects[i]);
    if (!known)
        return false;
    const char *equals = memchr(text, '=', (size_t)(colon - text));
    const char *end = equals ? equals : colon;
    bool value_fits = !equals || equals + 1 == colon || qualified(equals + 1, (size_t)(colon - equals - 1));
    return label_key(text, (size_t)(end - text)) && value_fits;
}

static bool is_env_name(const char *text) {
    size_t length = strlen(text);
    return length && length <= 255 && (is_alpha(text[0]) || text[0] == '_') && only(text, length, "_");
}

static bool user_name(const char *text, size_t length) {
    if (!length || length > 32 || !(is_lower(text[0]) || text[0] == '_'))
        return false;
    for (size_t i = 1; i < length; i++)
        if (!is_lower(text[i]) && !is_digit(text[i]) && text[i] != '_' && text[i] != '-')
            return false;
    return true;
}

static bool is_user_name(const char *text) {
    return user_name(text, strlen(text));
}

static bool account(const char *text, size_t length) {
    return user_name(text, length) || number(text, length, 999999999);
}

static bool is_owner(const char *text) {
    const char *colon = strchr(text, ':');
    size_t user = colon ? (size_t)(colon - text) : strlen(text);
    return account(text, user) && (!colon || account(colon + 1, strlen(colon + 1)));
}

/* The key itself: the first length and name within the base64 must repeat the type that stands before it. */
static bool literal_ssh_key(const char *text) {
    size_t type = strcspn(text, " ");
    if (text[type] != ' ' || type > 64)
        return false;
    const char *body = text + type + 1;
    mac_autofree uint8_t *data = NULL;
    size_t length;
    if (strspn(body, " ") || codec_base64_decode(body, strcspn(body, " "), &data, &length) < 0 || length < 4 + type)
        return false;
    return data[0] == 0 && data[1] == 0 && data[2] == 0 && data[3] == type && memcmp(data + 4, text, type) == 0;
}

static bool is_ssh_key(const char *text) {
    if (strpbrk(text, "\r\n"))
        return false;
    if (mac_starts_with(text, "github:")) {
        const char *name = text + strlen("github:");
        return label(name, strlen(name)) && strlen(name) <= 39;
    }
    return mac_starts_with(text, "https://") ? is_https_url(text) : literal_ssh_key(text);
}

static bool is_realm(const char *text) {
    for (const char *p = text; *p; p++)
        if (*p != '.' && *p != '-' && !is_lower(*p) && !is_digit(*p))
            return false;
    return strlen(text) <= 128 && domain(text, strlen(text));
}

static bool is_identifier(const char *text) {
    size_t length = strlen(text);
    return length && length <= 63 && is_alnum(text[0]) && only(text, length, "_.-");
}

static bool is_ports(const char *text) {
    const char *dash = strchr(text, '-');
    if (!dash)
        return port(text);
    mac_autofree char *first = mac_strndup(text, (size_t)(dash - text));
    return port(first) && port(dash + 1) && strtoul(first, NULL, 10) <= strtoul(dash + 1, NULL, 10);
}

static bool is_mac(const char *text) {
    if (strlen(text) != 17)
        return false;
    for (size_t i = 0; i < 17; i++)
        if (i % 3 == 2 ? text[i] != ':' : !strchr("0123456789abcdefABCDEF", text[i]))
            return false;
    return true;
}

static bool is_key32(const char *text) {
    mac_autofree uint8_t *data = NULL;
    size_t length;
    return strlen(text) == 44 && !strpbrk(text, " \t\r\n-_") && codec_base64_decode(text, 44, &data, &length) == 0 &&
           length == 32;
}

/* CRC-16/XMODEM, which ends every nkey. */
static uint16_t nkey_crc(const uint8_t *data, size_t length) {
    unsigned crc = 0;
    for (size_t i = 0; i < length; i++) {
        crc ^= (unsigned)data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0);
    }
    return (uint16_t)crc;
}

/* A kind, 32 bytes and the CRC in base32. The server refuses a whole configuration for one digit that is wrong. */
static bool is_user_nkey(const char *text) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t data[35];
    if (strlen(text) != 56 || strspn(text, digits) != 56 || text[0] != 'U')
        return false;
    unsigned bits = 0, count = 0;
    for (size_t i = 0, out = 0; i < 56; i++) {
        bits = (bits << 5 | (unsigned)(strchr(digits, text[i]) - digits)) & 0xfff;
        count += 5;
        if (count >= 8)
            data[out++] = (uint8_t)(bits >> (count -= 8));
    }
    return data[0] == 20 << 3 && nkey_crc(data, 33) == (data[33] | data[34] << 8);
}

static bool is_cron(const char *text) {
    return codec_is_cron(text);
}

static bool is_window(const char *text) {
    return codec_is_window(text);
}

static bool is_text(const char *text) {
    (void)text;
    return true;
}

#define FORMAT(name, words) [MACULA__V1__FIELD_RULE__FORMAT__##name] = {is_##name, words}
static const struct {
    bool (*fits)(const char *text);
    const char *words;
} formats[] = {
    FORMAT(text, "text"),
    FORMAT(hostname, "a host name: letters, digits and -, at most 63, not localhost, such as edge-7"),
    FORMAT(domain, "a domain name such as node.example.org"),
    FORMAT(duration, "a duration such as 30s, 5m, 2h"),
    FORMAT(size, "a size such as 100M, 4G"),
    FORMAT(percent, "a percentage from 0% to 100%"),
    FORMAT(ip, "an IPv4 or IPv6 address"),
    FORMAT(cidr, "an address with its prefix length such as 192.168.1.10/24"),
    FORMAT(host_port, "host:port such as node.example.org:443 or [2001:db8::1]:443"),
    FORMAT(url, "a URL such as https://example.org/file"),
    FORMAT(https_url, "a URL that begins with https://"),
    FORMAT(path, "an absolute path without . or .. in it"),
    FORMAT(mode, "octal permissions such as 0644, in quotes"),
    FORMAT(cron, "five fields such as \"0 3 * * *\", or @daily and the like"),
    FORMAT(interface_name, "the name of an interface such as eth0, at most 15 characters"),
    FORMAT(timezone, "a time zone such as Europe/Berlin"),
    FORMAT(locale, "a locale such as en_US.UTF-8"),
    FORMAT(keymap, "a keyboard layout such as us or de-latin1"),
    FORMAT(sysctl_key, "a kernel parameter such as net.ipv4.ip_forward"),
    FORMAT(module_name, "the name of a kernel module such as br_netfilter"),
    FORMAT(label_key, "a Kubernetes label key such as region or example.org/region"),
    FORMAT(label_value, "a Kubernetes label value: letters, digits, -, _ and ., at most 63"),
    FORMAT(env_name, "the name of an environment variable such as HTTP_PROXY"),
    FORMAT(user_name, "a user name: lower-case letters, digits, _ and -, at most 32"),
    FORMAT(ssh_key, "an OpenSSH public key, github:NAME or an https URL"),
    FORMAT(realm, "a realm such as io.macula: lower-case names joined by dots"),
    FORMAT(identifier, "a name: letters, digits, _, . and -, at most 63, a letter or digit first"),
    FORMAT(device, "a device such as /dev/sda"),
    FORMAT(owner, "an owner such as root, root:adm or 1000:1000"),
    FORMAT(host, "a host name or an IP address"),
    FORMAT(endpoint, "a host, host:port or URL"),
    FORMAT(ports, "a port such as 443 or a range such as 8000-8100"),
    FORMAT(window, "a time window such as 02:00-05:00 or Sat 22:00-Sun 04:00"),
    FORMAT(mac, "a hardware address such as 52:54:00:12:34:56"),
    FORMAT(taint, "a Kubernetes taint such as key=value:NoSchedule"),
    FORMAT(key32, "32 bytes in base64 (44 characters)"),
    FORMAT(disk, "a disk: a path such as /dev/sda, its name, or its serial number"),
    FORMAT(user_nkey, "the public nkey of a user: U and 55 letters and digits"),
};

const char *mac_format_check(Macula__V1__FieldRule__Format format, const char *text) {
    if ((size_t)format >= MAC_ARRAY_SIZE(formats) || !formats[format].fits)
        return "a format that this program knows";
    return formats[format].fits(text) ? NULL : formats[format].words;
}
