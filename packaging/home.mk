# Where the project is at home: no other file has these values. They are not known yet, and none is
# made up: each line that would need one is left out of what is built (see fill_home.py), until a
# value stands here or is given to make:
#
#     HOME_URL          the project's web page: http://... or https://...
#     SECURITY_CONTACT  where vulnerabilities are reported privately: a URL, or a mail address
#     MAINTAINER        who answers for the packages: Name <mail address>
#
# None of " ' $ # % and the backslash can stand in a value.

HOME_URL ?=
SECURITY_CONTACT ?=
MAINTAINER ?=
