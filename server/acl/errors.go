package acl

import "errors"

// What is wrong with a rule, in Redis' words.
var (
	errUnknown   = errors.New("Unknown command or category name in ACL")                                                                                                                                 //nolint:staticcheck // Redis' text
	errSyntax    = errors.New("Syntax error")                                                                                                                                                            //nolint:staticcheck // Redis' text
	errAllKeys   = errors.New("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns")         //nolint:staticcheck // Redis' text
	errAllChans  = errors.New("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels") //nolint:staticcheck // Redis' text
	errNoSuchPwd = errors.New("The password you are trying to remove from the user does not exist")                                                                                                      //nolint:staticcheck // Redis' text
	errHash      = errors.New("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")                                                                       //nolint:staticcheck // Redis' text
	errDuplicate = errors.New("Duplicate user found. A user can only be defined once in config files")                                                                                                   //nolint:staticcheck // Redis' text
	errFirstArg  = errors.New("Allowing first-arg of a subcommand is not supported")                                                                                                                     //nolint:staticcheck // Redis' text
)

// ErrName is the answer to a user's name that cannot be written to a file.
var ErrName = errors.New("Usernames can't contain spaces or null characters") //nolint:staticcheck // Redis' text
