# shellcheck shell=sh
# doas looks for a command where its caller does, so who may become root finds what root has: rc-service, nft.
case :$PATH: in
*:/usr/sbin:*) ;;
*) PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin ;;
esac
