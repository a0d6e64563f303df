/**
 * Characters that nobody sees, or that turn the direction of what follows: controls, format characters, fillers. Not joiners, variation selectors and
 * tags, which are parts of emoji and of words in some scripts. For a character class of a regular expression with the flag `u`.
 */
export const unseenCharacters =
	'\\p{Cc}\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb'
