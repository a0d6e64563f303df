/**
 * The crawlers and fetchers of AI companies, by the names in their user agents. As of 2026-11-22, from the operators' own pages (OpenAI, Anthropic,
 * Google, Perplexity, Meta, Amazon, Apple, Mistral, DuckDuckGo, Common Crawl, each of which documents its agents) and the public list at
 * github.com/ai-robots-txt/ai.robots.txt.
 *
 * `Google-Extended` and `Applebot-Extended` are names for robots.txt; no request carries them today, and it costs nothing to know them. Search engines
 * whose index also feeds an assistant (Googlebot, bingbot, Applebot) are bots, for that is what most of their visits are.
 */

/** Agents that collect for training, that index for an assistant's search, or that fetch a page because somebody asked an assistant about it. */
export const aiCrawlers: readonly string[] = [
	'AI2Bot',
	'aiHitBot',
	'Amazonbot',
	'Amzn-SearchBot',
	'Amzn-User',
	'Andibot',
	'anthropic-ai',
	'Applebot-Extended',
	'AzureAI-SearchBot',
	'bedrockbot',
	'Brightbot',
	'Bytespider',
	'CCBot',
	'ChatGLM-Spider',
	'ChatGPT-User',
	'ChatGPT Agent',
	'ClaudeBot',
	'Claude-Code',
	'Claude-SearchBot',
	'Claude-User',
	'Claude-Web',
	'CloudVertexBot',
	'Cloudflare-AutoRAG',
	'cohere-ai',
	'cohere-training-data-crawler',
	'Cotoyogi',
	'Crawl4AI',
	'DeepSeekBot',
	'Devin',
	'Diffbot',
	'DuckAssistBot',
	'FacebookBot',
	'FirecrawlAgent',
	'Gemini-Deep-Research',
	'Google-CloudVertexBot',
	'Google-Extended',
	'Google-NotebookLM',
	'GoogleAgent-Mariner',
	'GoogleOther',
	'GPTBot',
	'iAskBot',
	'iaskspider',
	'ICC-Crawler',
	'ImagesiftBot',
	'img2dataset',
	'Kangaroo Bot',
	'LAIONDownloader',
	'LinerBot',
	'LinkupBot',
	'Manus-User',
	'meta-externalagent',
	'meta-externalfetcher',
	'meta-webindexer',
	'MistralAI-User',
	'NovaAct',
	'OAI-SearchBot',
	'omgilibot',
	'PanguBot',
	'Perplexity-User',
	'PerplexityBot',
	'PetalBot',
	'PhindBot',
	'SBIntuitionsBot',
	'ShapBot',
	'TavilyBot',
	'TikTokSpider',
	'Timpibot',
	'VelenPublicWebCrawler',
	'Webzio-Extended',
	'YouBot',
]

/** As whole words: no name matches within a longer one, and nothing repeats, so that the time is linear in the text. */
const pattern = new RegExp(`\\b(?:${aiCrawlers.join('|')})\\b`, 'i')

/** Whether a user agent, cut to a length that may be looked through, has one of the names in it. */
export function isAiCrawler(userAgent: string): boolean {
	return pattern.test(userAgent)
}
