#include "base/mac-k3s.h"

#include "base/mac-base.h"

static bool is_used(const Macula__V1__MaculaosSection *section) {
    return section->k3s || section->n_k3s_args > 0 || section->n_labels > 0 || section->n_taints > 0 ||
           section->token || section->server_url;
}

mac_k3s_role mac_k3s_role_of(const Macula__V1__MaculaosSection *section) {
    if (!section || !is_used(section))
        return MAC_K3S_UNASKED;
    if (section->k3s && !section->k3s->enabled)
        return MAC_K3S_OFF;
    bool own = section->k3s && section->k3s->n_args > 0; /* they win over k3s_args */
    char *const *arguments = own ? section->k3s->args : section->k3s_args;
    size_t count = own ? section->k3s->n_args : section->n_k3s_args;
    for (size_t i = 0; i < count; i++) { /* wherever the word stands: it is never the value of an option */
        if (mac_streq(arguments[i], "server"))
            return MAC_K3S_SERVER;
        if (mac_streq(arguments[i], "agent"))
            return MAC_K3S_AGENT;
    }
    return section->server_url ? MAC_K3S_AGENT : MAC_K3S_SERVER;
}
