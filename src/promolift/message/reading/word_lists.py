"""Lists of words that are never true of an offer, or never fit to send, as one pattern each; both languages together.

Sources: the Advertising Law of the People's Republic of China (2015, revised 2021), article 9 (superlatives) and
article 28 (misleading claims); Directive 2005/29/EC, annex I (no. 7: false limits of time, no. 20: false 'free'); the
rest are facts that an offer of ours cannot contain. Not legal advice. In the patterns U+E000 stands for the offered
name, U+E003 for another category's, U+E004 for a date and U+E005 for a number already understood.
"""

import re

from promolift.message.names import any_of

# Nobody can prove them; advertising law forbids them.
SUPERLATIVE = any_of(r"""
    国家级|世界级|宇宙级|神级|最高级|顶[级尖峰流]|极[致品佳]|至[尊上]|巅峰|第一(?=[，。！、；\s”）)]|$|名(?!字)|家
        |品牌|梯队|的?选择|[大流线]|好(?!友)|畅销|的(?:品|选|口|店))|[全市省国网界业量名碑质居列评售]第一|唯一|独家
        |独一无二
    首[选个家](?!单)|首屈一指|一流|冠军|王牌|领袖|领先|领导品牌|全网|全球|全城|全行业|业内|史上|史无前例|前所未有
    百年不遇|空前|绝后|绝对|绝无仅有|无敌|无与伦比|无可比拟|无人能及|万能|永久|百分百|保证|零风险|驰名|金牌|之[王最]
    特供|专供|免检|根治|疗效|神效|稳赚|革命性|(?:全国|全省|全市|全年)(?!\S{0,4}门店)
    最(?!高|多|低(?!\s*[\d一二三四五六七八九半])|少|近|终|晚|迟|后|新|懂|想|怕|难|累|忙|困|烦|讨厌|舍不得
        |(?<=[你您我她他它]最)(?:爱|喜欢))
    (?<![A-Za-z])(?:NO|TOP)\.?\s?1(?!\d)|#\s?1\b|\bnumber[- ]one\b
        |(?<!its )(?<!their )(?<!your )(?<!my )(?<!his )(?<!her )\bbest\b(?! (?:regards|wishes|before|friends?\b|man\b
        |of luck|served|behaviou?r))
    guarantee[sd]?\b|\blowest\b|\bcheapest\b|\bgreatest\b|\bbiggest\b|\blargest\b|\bfinest\b|\bhighest\b
    \bunbeatable\b|\bunmatched\b|\bunrivall?ed\b|\bunparallell?ed\b|\bincomparable\b|\bworld[- ]class\b
    \bfirst-class\b|\bultimate\b|\bpremier\b|\bsupreme\b|\bflawless\b|\bsecond to none\b|\blike no other\b
    \brecord[- ]low|\ball[- ]time\b|\b(?:nobody|no one|none) (?:beats?|can beat)|\bcan(?:'t|not) (?:be )?beat
    \b(?:nowhere|no (?:other )?(?:stores?|shops?|brands?|sites?|retailers?|compan\w+))(?: else)? (?!will
        |can|or\b|to\b|near\b)
        [a-z]+
    \b(?:nobody|no one)(?: else)?(?:'s)? (?:does|beats?|sells?|match\w*|offers?|makes?|comes close|regrets?|gives?
        |treats?|charges?
        |prices?|knows|delivers?|can|could|would|else|cuts?|goes lower|brings?|cares?|had|ever|in (?:the|this|town))\b
    (?:别处|别家|其他店|哪里?都?)[^，。！]{0,4}(?:没有|找不到|买不到)|没有?(?:谁|人|哪家)?比[^，。！]{0,8}更
    \b(?:the|our|your) (?!rest|west|east|forest|guest|latest|harvest|interest|request|test|honest|modest|nearest
        |earliest
        |chest|nest|quest|fest|contest|best of (?:us|times|both)|(?:long|short|hott?|cold|sunni|wett?|raini|lazi|busi
        |slow|hungri|tini)est (?:days?|weeks?|nights?|months?|hour|part|walk|line|list|queue|meeting|bag|shelf|drawer
        |kid|cat|dog|room|bit|things?|mornings?|evening)\b)\w+est\b|数一数二|史诗|零[添副负]|\bthe top (?!of\b|step
        |shelf|floor|deck|drawer|bunk)\w+|无人(?!问津)|没人能|无瑕|绝[不无]
        |\bflawless\b|\babsolutely\b|\bperfection\b
    \bfirst (?:in|of) (?:the|its|our) (?:\w+ )?(?:city|town|country|world|nation|kind|industry)\b
    \bthan ever\b|\bever (?:made|seen|sold|offered)\b|\baward[- ]winning\b|\bonce[- ]in[- ]a[- ]lifetime\b
    从[没未来](?:有|曾)?[^，。！]{0,4}(?:低|便宜|优惠|划算|实惠)|\bnever again\b|\brisk[- ]free\b|\bmiracle\b
    (?<!at the )(?<!at )\bmost (?!of\b|mornings|days|evenings|weekends|nights|you (?:can|could|will|may) (?:save
        |get))\w+
    \btop[- ](?:rated|quality|selling|notch|choice)\b|\bleading\b(?! (?:to|up|into|down|nowhere|home))
        |\bthe only\b(?! (?:thing|sound|question|problem|plan|rule|meeting|light|decision|noise|reason)s?\b)
    \bnever (?:been )?(?:cheaper|lower|better)\b|\b100 ?% (?:satisf|safe|natural|guar)\w*|\bworld'?s\b
    \b(?:in|of) the world\b|\bon earth\b|\bproven\b
""")
# Effects on health and praise by others, which a shop would have to prove.
UNPROVEN = any_of(r"""
    \bcancer\b|\bprevents?\b|副作用|\bside effects?\b|有[助利]于|改善|促进|[回复]购
    [一二三四五六七八九]成的?(?:用户|顾客|客户|人|买家)
    \b(?:improv|boost|enhanc|strengthen)\w* (?:your|the)\b|\b\w+ out of (?:ten|five|four|three|10|5|4|3
        |100)\b(?! parts)
    减肥|减重|燃脂|(?<![肥精])瘦(?!肉)|好身材|变(?:白|美|年轻)|\b(?:slim|thin|young|fit)\w?i?er\b|预防|血[压糖脂]
    降[压脂糖](?!价)|治(?!愈系)|提神醒脑|失眠|百病
    [头关腰胃牙止][节部]?[痛疼]|过敏|权威|认证|专利|获奖|\bcertif\w+|\baccredit\w+|\bapproved by\b|\bendorsed\b
        |\bpatent
    \b(?:joint|back|muscle|chronic) (?:pain|ache)s?\b|\bpain\b|\barthriti|\binsomnia\b|\ballerg|\bwrinkles?\b|\bacne\b
    抗[癌衰]|防[癌病]|增强(?:免疫|抵抗)|提高免疫|美白|祛[斑痘湿]|延年|排毒|壮阳|助眠|养颜|[更最]健康
    (?:家|师|医生|人士|机构|邻居|网友|用户)\S{0,4}推荐|临床|百万|千万|万千|无数|爆款|畅销|热[销卖]|好评|口碑|网红|明星
    人气|回头客|大家都[爱说买]
    人人都|纯天然|[无不]添加|怎么\S{1,3}[都也]不
    \b(?:blocks?|stops?|removes?|kills?|fights?|keeps?)(?: out| off| away)? (?:all|every|any)\b
    \bcur(?:e|es|ed|ing)\b(?!d)|\bheal(?:s|ing)?\b|\bcholesterol\b|\bblood (?:pressure|sugar)\b|\blike magic\b
    \b(?:perfect|slim\w*|dream|better|flawless) (?:figure|body|skin|shape)\b|\bwonders\b|\bimmun|\bdetox
    \banti-?ag(?:e|ing)\b
    \b(?:america|china|nation|world|city|country|town|everyone)'?s favou?rite|\bmillion\b|\bcustomers? recommend
    \b\w+ (?:out of|in) (?:ten|five|four|10|5|4) (?:customers|people|shoppers|families|doctors|dentists|users
        |parents)\b
    \b(?:experts?|dentists?|scientists?|nutritionists?|critics|studies|research)\b|\bclinically\b|\bhealthier\b
    \bhealthiest\b|\brelieves?\b|\btherapeutic\b|\bbest-?sell|\bmillions\b
    \bthousands\b|\bhundreds of\b
    \beveryone(?: (?:in|at|around|on) [a-z ]{1,20})?(?:'s)? (?:loves?|favou?rite|is|wears?|buys?|wants?|uses?)\b
    \bloved by\b|\btrusted by\b|\brecommended by\b
    \b(?:five|5)[- ]star\b|\btrending\b
    \b(?:customers?|crowd|shoppers?)(?:'s?)? (?:love|loves|favou?rites?)\b|\brated\b
""")
# A benefit counted by the piece, where the offer counts it once.
PER_PIECE = any_of(r"""
    每[件份个瓶袋盒]|单件|\b(?:per|each|every) (?:item|piece|unit|pack|one|product|\w+ of \ue000)|\beach\b(?= \ue000)
""")
# What a machine says around a draft, and orders to one.
MACHINE = any_of(r"""
    \bas an? (?:ai|artificial|language model|assistant)\b|\blanguage model\b
    ^\s*(?:sure|certainly|of course|okay)[!,.:]? here
    \bhere(?:'s| is) (?:your|the|a) (?:message|text|copy|draft|translation|rewrite|revised)|\btranslat(?:e|ion)\b
    \b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:instructions?|rules?|prompts?|above|previous)\b
    \b(?:system|assistant|developer)\s*:|\bnew instructions?\b|\bsystem prompt\b|<\|
    作为(?:一[个名位])?(?:AI|人工智能|语言模型|智能助手|助手)|以下是|文案|翻译[成为]|忽略|无视|系统提示|提示词|指令
    输出|无法提供|银行卡|转账|汇款(?:到|至|给)|[定押]金|发红包|卡号|账号|密码|身份证|验证码|致电|拨打|回复(?:本
        |此)短信
    \b(?:card|account|id|passport|social security) numbers?\b|\bpasswords?\b|\bpin code\b|\bdeposit\b
    \bwire (?:us|me|the|\$)
    \bpretend\b|假装|\b(?:following|these|my|below) instructions?\b
""")
# Shouting and abuse.
TONE = any_of(r"""
    [!！]{3,}|[?？]{3,}|[!！][?？][!！]|\b(?:idiots?|stupid|dumb|fools?|foolish|losers?|cheapskates?
        |pathetic|moron|sucker|shut up
        |damn|hell|crap|wtf)\b|\byou(?:'re| are)?[^.!?]{0,12}\b(?:lazy|fat|ugly)\b(?! (?:sunday|saturday|morning
        |afternoon|day|weekend))|\b(?:lazy|fat|ugly) (?:people|person|slob|bum)
    \byou'?(?:d| would) be (?:crazy|mad|a fool|silly)\b|\bor else\b|\bshame on you\b|\bregret\b
    傻瓜|傻[子逼]|笨蛋|白痴|蠢(?!蠢)(?<!蠢蠢)|混蛋|(?<![翻打])滚(?=[吧蛋出远开！!]|$)|该死|穷鬼|丢人|不买(?:后悔|就)
        |后悔|他妈|(?<![倒扔丢])垃圾(?!袋|桶|分类|车|站)|有病
""")
# Pressure without a date. The offer has a date: say it.
URGENCY = any_of(r"""
    \boff the shel|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|few|many) (?:\w+ )?left\b
    越[买早多]|多买多|\bthe more you\b
    限时(?!\s*(?:[\d一二三四五六七八九半享打立减]|优惠|\ue000))|即将(?:结束|截止|到期|恢复)
    马上(?:就|结束|截止|到期|没)|快要(?=结束|截止|没|到期|卖|售|抢|过期|恢复|涨)|临近(?!周末|中午|傍晚|黄昏|开学|毕业
        |端午|节日|下班|午夜|年末)|尾声|最后[二两三四五六七八九十几]
    最后(?:[一1]?(?:次?机会|时刻|关头|批|波|冲刺|疯狂|促销|特惠|优惠|清仓|通知|\d)|$)|倒计时|倒数(?!第)|手慢
    先到先得|售完|售罄|卖光|卖完|断货|数量有限|库存|告急|限量|名额|秒杀|抢[购光完空手]|疯抢|速抢|速来|赶[快紧]
    错过(?:不再|[就再要得又]|后悔)|别错过|过时不候|机不可失|机会难得|稍纵即逝|转瞬即逝|仅剩|只剩(?!\s*\ue004
        |下?(?:[半空]|一[点口粒片颗滴根把勺层角个]|个?底|最后|几[粒片颗滴根]))|所剩
    剩余(?!\s*\ue004)|紧急|火速|火爆|近期有效|长期有效|机会只有|[仅只]此一[次天]|就这一次
    随时(?:结束|截止|失效|恢复|可能|可用|有效)|欲购从速|从速|不日
    尽快|快没了|抓紧|来不及(?=[了买抢。！])|晚了就|再不(?=买|抢|下手|来|领|用|下单|抓|打折|有|降)|不等人|时间不多
    (?:仅限?|只限?|只有|就|限|截止到?|截至|至|到)\s*(?:本周|这周|本月(?!末|底|\d|\ue004)|这个?月(?!\d|\ue004)|周末
        |明[天日]|今[天日晚])
    (?:本周|这周|本月(?!末|底)|周末|明[天日])(?:内|前|末|日)?(?:截止|结束|有效|止|到期|恢复|为止|之前|前)|\bhurry\b
    \blimited[- ](?:time(?![^.!?\ue004]{0,25}\ue004)|period|offer|stock|quantit\w+|suppl\w+|edition|availability)
    \bends? (?:very )?soon
    \bending (?:very )?soon|\bexpir\w+ (?:very )?soon
    \b(?:over|gone|finish\w*|clos(?:es|ing)|order) (?:very |pretty )?soon\b|\bsoon (?:over|gone|ends?|expires?)
    \blast (?:chance|few|minute|hours?)\b
    \bfinal (?:hours?|chance|minutes?)|\bact (?:now|fast|quick)
    while (?:\w+ )?(?:supplies|stocks?|they|it|quantities) lasts?|\brunning out\b
    \b(?:supplies|stocks?|offers?) (?:is |are )?running (?:low|short)
    \bonly \w+ left\b|\b(?:hours?|minutes?) left\b|selling (?:fast|out)|sell(?:s|ing)? out|going fast|in high demand
    (?:supplies|stocks?|quantit\w+|availability) (?:are|is) limited|won't (?:see|find|get)[^.!?]{0,20} again
    (?:don't|do not|never) miss\b|\bmiss out\b|don't (?:wait|delay)|do not (?:wait|delay)
    before (?:it's|it is|they're|they are) (?:gone|too late|over)
    \bprices?\b[^.!?]{0,12}\b(?:go(?:es|ing)? (?:back )?up|ris(?:e|es|ing)|increas\w+|climbs?|jumps?|soars?
        |bounces?)\b
    涨价|提价
    价格?[^，。！]{0,4}(?:反弹|回升|回调|上[涨调]|要涨)|\b(?:hours?|minutes?|moments?|days) (?:remain|left|to go)
    \bany (?:minute|moment)\b
    \byou(?:'ll| will) (?:be sorry|miss)\b|\bmiss (?:today|it)\b|不抢|就没了
    \bbefore (?:it|they|someone|others|anyone)(?:'s|'re)?\b(?! (?:starts?|begins?|ends?|expires?))
    \b(?:is|are) (?:very |strictly )?limited\b(?! to)
    \bblink\b|更低价?|\beven (?:lower|cheaper|better)\b|延[长期]|顺延|\bextended\b|\bprolonged\b
    (?:过了?|恢复|涨价?|没有?|结束|截止)[^，。！\ue004]{0,6}(?:今[晚天日夜]|明[天日]|下个?[周月])
    (?:今[晚天日夜]|明[天日]|下个?[周月])[^，。！\ue004]{0,8}(?:过后|没有|恢复|涨|原价|结束|截止|就没|不再)
    \b(?:gone|over|ends?|back to|until|before|after|by|expires?|vanish\w*|returns?|resumes?)\b[^.!?\ue004]{0,25}
        \b(?:tonight|tomorrow|(?:next|this) (?:week|weekend|month))\b|\b(?:sold|out of stock|selling) ?out\b
        |\bout of stock\b
    clock is ticking|countdown|\burgent\w*\b|(?<!\bno )\brush\b|almost (?:gone|over)|nearly (?:gone|over)|won't last
    first come|flash sale|\b(?:one|1) day only|\bshort time\b|\bimmediately\b|until further notice|\bnow or never\b
    (?:周|星期|礼拜)[七八九十]
    (?:only|until|ends?|through|by|just|for|expires?) (?:\w+ )?(?:this (?:week|weekend|month)|tomorrow)\b
    \b(?:this (?:week|weekend|month)|tomorrow) only\b|\bquick(?:ly)?[!,]
""")
# What is known or guessed about the customer.
LEAK = any_of(r"""
    \byou (?:once |already |just )?(?:view|search|brows|look|click|order|visit|want|lik|lov|ask|check|sav|add|abandon
        |ey|consider|favou?rit|return|miss|subscrib|join|sign)ed\b(?! (?:it|the bus)\b)
    [您你][^，。！买购下单]{0,2}(?:看|览|搜|点|藏|加|问|询|逛|来|试|用|领|退|穿)过(?![期后时来])
        |听[^，。！]{0,5}说[^，。！？]{0,3}[您你]|听[您你][^，。！]{0,4}说|[您你](?:平时|经常|常|总是|一直(?!以来))
    (?<!会)记得[您你]|(?<!if )\byou(?:'ve| have) been\b(?! (?:meaning|saving|waiting|wanting|putting|craving|dreaming
        |promising|holding))|浏览(?:过|了|记录|历史|的)
    (?:[您你]|刚|最近|曾经?)(?:才|刚|最近|在\S{0,6})?浏览|查看[过了]|[您你][^，。！？]{0,6}看[过了中](?!来)
        |看[过了]\S{0,4}(?:商品|页面|[又还]没买)
    搜索?[过了]|点击[过了]|关注[过了]|收藏(?:过|了|的|夹)|加购|加入了购物车|[您你][^，。！]{0,10}购物车
    购物车(?:里|中|内)|根据[您你]|鉴于[您你]|考虑到[您你]|得知[您你]|(?<!都)知道[您你]|听说[您你]|猜[您你]
    (?:我们|系统|数据)(?:发现|注意到|知道|了解|检测|看到|记得|推测|判断|分析|显示|得知)|监测|追踪|画像
    (?:用户|客户|您的)标签|[怀备]?孕|宝宝|宝妈|[准手]妈妈|老年人|单身|离异|已婚|未婚|\d+岁|岁的|年龄|年纪|岁数|收入
    薪|职业|糖友|手头紧|缺钱|没钱|囊中羞涩|(?:[您你刚]|恭喜|听说|知道|祝)[^，。！？]{0,4}(?:失业|失恋|分手|搬家)|升学
        |产假|病[情友人]
    (?:为|给)[^，。！]{1,6}(?:人群|人士|患者)
    像[您你]这样|[您你](?:的|家)?(?:女儿|儿子|太太|丈夫|老公|老婆|妻子|父母|爸|妈|母亲|父亲|先生(?![，,：:您好]))
    [您你](?:住|家在|来自)|住在[^，。！]{1,9}的|作为[^，。！]{1,9}[，的][您你]|信用(?!卡)
    (?:邻居|同事|朋友|好友|闺蜜|同学|家人)\S{0,4}(?:[也已]|刚|都(?!能|可))|\byou live\b|\bsince your\b
    \bnow that you(?!'ve| have| bought| just)\b|\bwe know\b
    \bcongrat\w* on\b|\bmoney(?:'s| is)? tight\b|\btight budget\b|\blose weight\b|\byour (?:new )?baby\b|\bnewborn\b
    \bjust moved\b|\byour new home\b|\bdivorce|\bunemploy|\blost your job\b|\bpayday\b
    作为(?:一[名位])?\S{0,6}(?:女性|男性|女士|先生|学生|医生|教师|老师|工程师|妈妈|爸爸|母亲|父亲|司机|护士
        |白领|老人|用户|客户)
    价格敏感|对价格|敏感型
    [您你](?:家|的)(?:性别|病|体重|健康|孩子|小孩|宝贝|老人|习惯|偏好|喜好|消费记录|购买记录|历史|资料|档案|需求)
    消费(?:水平|能力|习惯)|患者|疾病|流失|好久不见|很久没|许久未|没来|经常购买|常买|爱买|偏爱
    退[掉货款回]
    \b(?:you|you've|you have|you were|you recently|you just)\s+(?:recently |just |also |have |been )*(?:view
        |brows|search|look|click|visit|abandon|wishlist|saw|seen|check(?! ?-?out)|star)\w*(?! (?:twice|before
        |a (?:hundred|thousand|dozen)|three times|every))
    \b(?:because|since) you\b(?! (?:bought|purchased|ordered
        |just|like|wish|please))|\bas you (?:are|were|have|own|work|often|usually|always|viewed|left)\b
        |\bbased on (?:your|what)
    \b(?:according to|judging by|given|knowing|considering) (?:your|what)|because of your
    \bwe(?:'ve| have)? (?:noticed?|saw|seen|know|remember|detected|learned|been (?:watching|tracking|following))\b
    \bwe (?:see|think|believe|guess)(?: that)? you\b|\b(?:watching|tracking|monitoring) (?:you|what)
    your (?:\w+ )?(?:browsing|search|viewing|purchase|shopping|order|spending) (?:history|habits?|behaviou?r
        |pattern|activity|record)s?
    \byour (?:age|income|salary|occupation|job (?=as|at|in|title|pays)|gender|sex|health|weight|condition|pregnancy
        |children|kids
        |baby|husband|wife|household|wish ?list|profile|data|interests?|preferences?|lifestyle|situation
        |favou?rites?(?=\W*\ue000|[.,!;:?)]|$| (?:items?|products?|brands?|goods|things)\b))\b
    \blike you(?:rs|rself)?\b(?=\s*[.,!?;]|$)
    \byour (?:daughter|son|mother|father|mom|mum|dad|parents|spouse|partner)s?\b
    \byou (?:have )?spent\b|\b(?:since|because) there\b|\bour (?:data|systems?|records|algorithms?|analysis)\b
    \b(?:women|men|people|customers) (?:over|under|aged)\b
    \b(?:left|still|waiting|forgot\w*)\b[^.!?]{0,24}\bin your (?:cart|basket)\b|\byour abandoned\b|\babandoned\b
    \breturned\b|\brefunded\b|pregnan|\bexpecting\b(?! (?:guests|visitors|company))
    \bas an? (?:\w+ )?(?:mother|father|mom|mum|dad|parent|woman|man|student|teacher|doctor|nurse|engineer
        |senior|customer who|shopper who|driver|lawyer|manager|retiree)
    \bas (?:an? |our )(?!treat|thank|gift|reminder|result|token)[^,.!?]{2,40}, you\b|\bcredit (?:score|rating|history)
    \bqualif(?:y|ies) you\b|\b(?:your|a|the) (?:\w+ )?(?:resident|neighbou?rhood)\b|\byour (?:\w+ )?(?:zip
        |postal) code
    \bdoctor|\bphysician|diagnos|医生|医嘱|确诊
    price[- ]sensitive|at your age|years? old|\baged?\b \d+|\b(?:low|high)(?:er)?[- ]income|\bdivorced\b
    \bsingle (?:mother|mom|parent)|diabet|\bmiss(?:ed)? you\b|haven't (?:seen|visited|shopped|been)
    it's been a while|\bchurn|segment|bargain[- ]hunter
    \byou (?:often|usually|always|regularly|frequently|prefer|tend to)\b
    \b(?:products?|items?|things|what|ones?|because|since) you (?:love|like)\b|\b\ue000+ you (?:love|like)\b
""")
# Benefits that are not the offer.
OTHER_BENEFIT = any_of(r"""
    [再另还又加多]送|买.{0,3}[免赠]|折上|折后[再还]|送(?:[一1]|您[一1])(?:份|个|件|瓶|袋|盒
        |杯)(?![^，。！]{0,6}(?:心意|祝福|问候|关怀|优惠))
    \bmoney[- ]back\b|[提套]现|[附随][^，。！]{0,2}送|\bthrow(?:ing)? in\b|兑换?现|换[成取]现金|\b(?:for|into) cash\b
    [假少][一1][赔罚]|[赔退]十|运费险|包税|免税|保价|价保|延保|质保|包安装|上门安装|退差价|[次当隔]日达|小时达|顺丰
    \b(?:overnight|same-day|next-day|two-day|express) (?:shipping|delivery)\b
    [另再还加附]赠|赠[品礼]|赠.{1,2}礼|满[^，。！]{1,12}[送返赠得]\s*[\d¥$€£零一二三四五六七八九十百千]
    买\s*[一二两三1-9]\s*[送赠]|赠送(?![您你]|一?[张份])|返现|返券|返利|返还|积分|抽奖|中奖|换购|加价购|免息|分期
    现金奖励|好礼|大礼|礼包|礼品卡|折上折|叠加|翻倍|双倍|送(?=\s*\ue000|\s*\ue003)|\bcash ?back\b
    \b(?:reward|bonus|double|extra) points?\b|\bpoints\b|sweepstake|\bprizes?\b|\bwin\b|\brefund
    \b(?:get|receive|claim|surprise|mystery|extra|plus|with)\b[^.!?]{0,16}\bgift\b|\bwarranty\b|\bsamples?\b
    \bgiveaway\b|抽(?=[A-Za-z大取])
    (?<!tax )(?<!day )(?<!\ue004 )(?<!\ue000 )(?<!\ue004, )(?<!\ue004 \()(?<!th )(?<!everything )
        (?<!all )(?<!everything's )(?<!days )(?<!dates )(?<!ends )\bincluded\b(?! \ue000)
    \bbuy (?:one|1|two|2)\b(?!,?\d)|\b(?:store|account|shop) credit\b
    \bcredit back\b|\bbogo\b|\b(?:2|two)[- ]for[- ](?:1|one)\b|\bfree gift|\bgift cards?\b
    \bgift with\b|\bbonus\b|(?<!-)(?<!feel )\bfree\b(?! of charge| (?:evening|afternoon|hour|hand|day|weekend|morning
        |moment|minute|spot|shelf|corner|saturday|sunday)s?\b)|\bcomplimentary\b|\bon the house\b
        |\bdouble\b(?!-| (?:knot|espresso|shot|check|bed|rainbow|bass|shift|helping|scoop|cream))
    \btriple\b|\bstack(?:s|able|ed)?\b(?! of\b)|\bon top of (?:that|this|it|all|any|other|your|the (?:discount|offer
        |saving|sale))|\binterest[- ]free\b|\braffle\b
""")
# Conditions that the offer does not have.
CONDITION = any_of(r"""
    \bcombin\w+ with\b|(?:自提|到店|外卖|外送)(?:购买|消费|下单)?[享满打减立]|[次当隔]日(?:内|可)?(?:送达|到)
    \b(?:next|same) day\b|\bfinal sale\b|\bsales? (?:are|is) final\b
    \bfor (?:life|good)\b|\bfor every\b(?! (?:order|purchase))
    第\s*[二三四五2-5]\s*[件个份双瓶袋盒包杯条只支箱台套]
    [满买任]选?\s*[二两三四五六七八九2-9]\s*[件个份样笔杯瓶袋盒包斤箱双条]
    [两三四五六七八九]件(?!套|事|小|宝|行)|[二两三四五六七八九]张
    每满|每买|每[人户]|(?:[仅只专]限(?!\s*[\ue000\ue004今本]|购买\s*\ue000|全场|有效期|即日))
    会员(?=\s*[\d一二三四五六七八九.]+\s*折)|(?:[仅只限每]|仅在)周末|周末(?:才|专享|可|有效)
    每[天晚日周月年](?:仅|限|前|只|上午|下午)|仅(?:在|限)?[^，。！\d\ue000-\ue005您]{1,12}(?:可用|有效|适用|参加|可享)
    \b(?:once|twice|one time|only once) (?:a|per|each|every) (?:day|week|month|year|customer|person)\b
    下[次单](?:购物|消费|使用|可|再|下单)|下一单|邀请|分享(?:给|至|到|本|此|后|链接|朋友圈)|转发
    关注(?:我们|公众号|店铺|本店|后)|注册|下载|订阅|开通(?:会员|后|即)|绑定|晒单|拼[团单]|组团|助力
    充值|办卡|签到|实名|预[付存]|以旧换新
    只有[^，。！\d满]{1,16}才(?:能|可|有)|[老女男](?:客户?|会员|用户|顾客)\S{0,2}(?:专享|可|才)|[神生粉师友]专享
    凭[^，。！]{0,5}(?:证|身份)|\bonly (?:for|to) (?!\ue000|\ue004|you\b)[a-z]
    \b(?:bring|present|show|provide|submit|upload) (?:(?:an?|your|this|the|proof) )?(?:\w+ )?(?:id|card|receipt|proof
        |photo|passport
        |screenshot)\b
    限(?:于|在)?(?:线[上下]|门店|实体|网店|APP|小程序)|首单|首次|新[用客]|新会员|会员(?:专享|价|独享|可)
    仅限(?:会员|新|线上|线下|门店|网上|app)|限[购用]|每人限|不[可能](?:与|和)|不(?:同享|叠加)|需(?:凭|出示|使用券码)
    \bnew (?:customers?|members?|users?|shoppers?)\b|\bmembers? only\b|\b(?:for|to) members\b
    \bfirst\b[^.!?]{0,14}\b(?:order|purchase|visit|time (?:buyers?|customers?|shoppers?|orders?|purchases?
        |you (?:order|buy|shop)))\b|\bsecond (?:item|one|unit|pack|order)\b
    \b2nd (?:item|one|unit|pack)\b|\b(?:buy|any|purchase) (?:two|three|four|2|3|4)\b
    (?<![$€£¥\d.,])(?<![A-Z]{3} )\b(?:two|three|four|five|six|[2-6]) or more\b(?!\s*(?:dollars|euros|pounds|yuan))
    \bevery [$€£¥]
    \bper (?:item|customer|person|household|visit)\b|\bper [$€£¥]|\beach [$€£¥]|\b(?:in[- ]store|online|app) only\b
    \bonly (?:in the app|online|in store)\b|\bin the app only\b|\bcannot be combined\b
    \bper (?:week|month|day)\b
    \blimit (?:one|1|two|2)\b|\bweekends? only\b
    \bhappy hour\b
    \b(?:in|at|for|with|via|to) (?!\ue000|you\b|now\b)[a-z][\w' ]{1,24} only\b(?=\s*(?:[,.;!)]|\ue004|$|through
        |until|by))
    \b(?:pick-?up|cash|card|members?|subscribers?|delivery|takeaway) only\b|\b(?:second|2nd|third|3rd|other) \ue000
    \b(?:voucher|coupon|credit)s? (?:for|on|towards?) (?:your |the )?next\b
    \brefer(?:ring|ral)?\b|\binvit(?:e|ing) (?:a |your |\w+ )?friends? to\b|\bsign(?:ing)? up\b|\bsubscri\w+
    (?:^|[.!?;(\ue004]\s*)(?!\ue000|\ue004)(?:[a-z]+ ){1,3}only\b(?=\s*(?:[.!;)]|$))
    \brequires? (?:an? )?(?!min|spend|order|purchase|basket|cart|total)[a-z]
    \bregist\w+|\bdownload\w*
    \bjoin(?:ing)? (?:our|the|as)\b|\bfollow us\b|\bshare (?:this|it|on)\b|\bleave (?:us )?a review\b|\bsurvey\b
    \btrade-?in\b
    \bprepa(?:y|id)\b|\b(?:students?|seniors?|veterans|employees|teachers|parents) (?:get|save|enjoy|only)\b
    \bnext (?:order|purchase|visit)\b[^.!?]{0,30}\b(?:when|if|after) you\b
    \bloyalty card\b|\bmembership\b
""")
# Words that take the offer back.
NEGATED = any_of(r"""
    (?:不(?:再)?|无法|没有|未能?|别|非|未)(?:可|能|会)?(?:享|打|参与|参加|适用|支持|享有|优惠|立减|减|包邮|免|买|购)
    除外|除了|不含|不包括|除\s*\ue000|暂停|取消|无优惠|不可用|\bexcept|\bexclud|\bother than\b
    \bnot (?:valid (?!after|beyond|past)|applicable|available|included|eligible|apply|on|off|for(?! (?:your|nothing
        |long|the first)\b))\b
    \b(?:does|do|is|are|was|will|can)(?:n't| not) (?:apply|include|valid|eligible|available|discounted|on
        |get|be|enjoy|cover|save|have|take|receive)
    \bcannot\b(?! wait| exceed| be (?:more|over|above))|\bno discount|\bno longer\b(?! \w+ (?:after|beyond|past) )
    \bnot (?:even |quite |exactly |a |an )*(?:[$€£¥]?\d|\ue000|half|quarter|fifth|third)|\bcancell?ed\b
    (?:并非|不是|绝非|而非|没打?|别想)\s*(?:[\d一二三四五六七八九半]|\ue005)|[不没无未非]\s*\ue005
    \b(?:no|not|without|never|isn't|aren't|hardly)\s+(?:\w+\s+)?\ue005|\b(?:do|does|wo|ca)n't\s+\ue005
    \b(?:won't|can't|won’t) (?:get|receive|have|enjoy|see|save|be)\b|\bis over\b|\bhas ended\b|\bended\b
    (?<!no )\bexclusions?\b|\brestrictions apply\b|\bhardly\b|\bunlikely\b
    \bwithdrawn\b|\bnever\b(?! (?:more than|above|over|exceed|past|gets? (?:bigg|larg|high)er|go))|\bneither\b
    \bwithout (?:the |a |any )?(?:discount|reduction|offer|savings?)\b
""")
# A part only, where the offer covers the whole.
RESTRICTED = any_of(r"""
    部分|指定|几乎全|大多数|特定|个别|某些|\b(?:almost|nearly|practically) (?:everything|anything|all)\b
    \bmost (?:of our|items|products)\b|\bselected\b|\bcertain (?:items|products|\ue000)|\b(?:on|off) select\b
    \bparticipating\b|\bsome (?:items|products|\ue000)|\bspecific\b
""")
# A part of the shop, where the offer covers all of it: 'spend $50 on furniture'.
A_PART = any_of(r"""
    \beverything (?:for|from|in) (?![$€£¥\d\ue004]|(?:(?:the|our|this) )?(?:entire |whole )?(?:store|shop|house
        |catalogue|site|stock)|one|you|sight)
    (?:[$€£¥]\s?[\d,.]*\d|\b(?:dollars|euros|pounds|yuan))(?: or (?:more|over)| and (?:up|over
        |more))? (?:worth )?(?:on|of)\s(?:(?:our|the|any|all) )?(?!our|the|any|all|your|every|total|one|a|an
        |single|anything|stuff|things|goods|products|items|purchases?|orders?|groceries|merchandise|whatever|
        (?:mon|tues|wednes|thurs|fri|satur|sun)day|\ue000|\ue004)[a-z]+
""")
# What the discount is taken off, where that is neither a name already understood nor the price or the order.
OTHER_TARGET = any_of(r"""
    (?:%|\bper ?cent|[$€£¥]\s?[\d,.]*\d|\b(?:dollars|euros|pounds|yuan|bucks)) off (?:(?:our|the|all|any
        |these) )*(?!(?:[\w'-]+ ){0,3}(?:of )?[$€£¥\d\ue000\ue001\ue003])(?!(?:the|your|our|their|its|his|my
        |this|that|these|those|each|every|all|any|a|an|one|it|is|are|was|has|will|when|once|if|while|as|until
        |till|til|through|thru|by|before|ending|valid|good|expir\w+|ends?|with|without|on|in|at|for|from|to|of
        |or|and|plus|but|now|today|right|up|whenever|whichever|wherever|since|because|though|max\w*|min\w*|capped
        |limited|during|between|starting|coupons?
        |vouchers?|codes?|deals?|offers?|discounts?|savings?|regular|usual|normal|original|list|full|retail
        |shelf|marked|prices?|totals?|orders?|purchases?|baskets?|carts?|bills?|every\w+|any\w+|automatically
        |instantly|straight|what\w*
        |store\w*|site\w*|shop\w*|entire|whole|groceries|merchandise|goods|products|items|just|only|again|per
        |there|here|so|we|you|they|spend\w*|checkout|storewide|sitewide|great|two|three|four|five|six|seven
        |eight|nine|ten|eleven|twel\w+|\w+teen|\w+ty|not|no|never|jan\w*|feb\w*|mar\w*|apr\w*|may|june?|july?
        |aug\w*|sep\w*|oct\w*|nov\w*|dec\w*)\b)[a-z]{3,}
""")
# The whole shop, where the offer covers a part.
EVERYTHING = any_of(r"""
    所有(?!\ue000)(?=[\u4e00-\u9fff])
    \b(?:all|every|any|whole|entire)\b(?! \ue000)[^.!?]{0,30}[, ]\ue000+ (?:included|among them|as well)\b
    \b(?:off|on) (?:all|every|any) (?:our |of our |the |kinds of )?(?!\ue000|[a-z]{3} \d|our|of|the|kinds
        |orders?|purchases?
        |baskets?|\w+ (?:of )?\ue000)[a-z]+
    包括(?![\ue000\ue004\ue005\d当周节本])(?=[\u4e00-\u9fff])
    \b(?:including|as well as) (?:(?:our|the|all|any) )*(?!\ue000|\ue004|\ue005|that|this|both|weekend|holiday|tax|day
        |last|\w*day\b)(?=[a-z])
    \ue000 (?:and|&|or|plus) (?!\ue000|\ue004)\w+(?: (?:is|are|at|come|now|ship|cost)\b|:)
    \ue000+, (?!\ue000)(?:[a-z]+ ){1,2}and (?:[a-z]+ )?[a-z]+ (?:(?:are|is|ship|come|cost|get)\b|\ue005)
    \ue000+(?:, (?:[a-z]+ )?[a-z]+)+[:,]? (?:all|both) (?:(?:are|ship|come|cost|get)\b|\ue005)
    \b(?:off|on) \ue000+ (?:and|&|or|plus) (?!\ue000|\ue004)[a-z]+(?=\s*(?:[.,;!]|$|through|until|till|by\b|before
        |when|if\b|with|at\b))
    \ue000(?:和|与|及|以及|、)(?!\ue000)[\u4e00-\u9fff]{1,6}?(?:都|均|全部|一律|[打享立减降])
    [\u4e00-\u9fff]{1,6}(?:和|与|及|以及|、)\ue000+(?:都|均|一律)
    \ue000+(?:、(?!\ue000)[\u4e00-\u9fff]{1,6})+[，,：:\s]*(?:统统|通通|全都|全部|都|均|全|一律|一样|同样|也|[打享立直降免包]|[减省](?!心|事|力|时)
        |[\d一二三四五六七八九半]+折|\d)
    (?:^|[。，！：】])[\u4e00-\u9fff]{1,6}(?:、[\u4e00-\u9fff]{1,6})*、\ue000+[，,：:\s]*(?:统统|通通|全都|全部|都|均|全|一律|[打享立直降免包]
        |[\d一二三四五六七八九半]+折)
    全场|全店|全部商品|[\u4e00-\u9fff]{2}(?<!\ue000类)(?<!现在)(?<!今天)(?<!期间)(?<!即日)(?<!即可)(?<!通通)全部(?=[\d一二三四五六七八九半])|\ue000(?:当然|自然)?也(?:算|在内|包[含括]|参加)|所有商品|任意商品|任何商品|整单|全单|全品类|\b(?:store|site|shop)-?wide\b
    \b(?:off|on|for|of)\s+(?:absolutely |almost |nearly )?(?:everything|anything)\b
    \beverything (?:is|in (?:the )?(?:store|shop)|at|we|ships?|comes?)\b|\b(?:anything|everything|all) else\b
    \bentire (?:store|shop|order|purchase|basket|range|range of products)\b
    \b(?:whole|full) (?:store|shop|order|purchase|basket)\b
    \ball (?:our )?(?:products|items|goods|orders|purchases|categories)(?! (?:in|of|from|within))\b
    \bany (?:product|purchase|order)\b(?! of)
    (?:%|\bper ?cent|\bshipping|\bdelivery) (?:off|on) your (?:next )?(?:order|purchase|basket|cart|shop
        |bill)\b(?! of)
""")
DISCOUNT = any_of(r"""
    打折|折扣|降价|减价|特价|\b(?:discounted|on sale|marked down|reduced|cheaper)\b
""")
NO_MINIMUM = any_of(r"""
    [一1]件(?:就|也|即|起)?\s*(?:包邮|免邮|\ue005)|买[一1]件|\bsingle item\b|\beven one\b|不用凑单|无需凑单|没有门槛
    无门槛|不限金额|任意金额|不设门槛|\bno (?:minimum|min\b)|\bwithout (?:a )?minimum|\bany amount|\bno spend
""")
NO_LIMIT = any_of(r"""
    不封顶|不设上限|没有上限|无上限|\bunlimited\b|\buncapped\b|\bno (?:cap|limit|maximum)\b
    \bwithout (?:a )?(?:cap|limit)
""")
VAGUE = any_of(r"""
    低至|高达|多达|\bas (?:little|low) as\b
""")
MARKUP = re.compile(r"</?[A-Za-z!][^>]*>?|\*\*|__|`|\]\(|\bjavascript:|^#{1,6}\s|</|/>|<!--|\|\|", re.I | re.M)
LINK = any_of(r"""
    \bwhatsapp\b|\btelegram\b|\bon wechat\b|链接|二维码|扫码|加(?:我们)?微信|加群
    (?<![A-Za-z])(?:https?|ftp|file|data|mailto|tel|weixin|sms):\S*|//\S+|(?<![A-Za-z])www\.\S+|[\w.+-]+@[\w-]+\.\w+
    (?<![a-z0-9])[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|cn|net|org|io|co|uk|de|fr|ru|xyz|top|info|biz|shop
        |store|link|me|app|ly|cc|tk|site|online|vip|club|gov|edu|hk|tw|jp|us|eu|example)\b(?!\s?\d)(?:/\S*)?
""")
SLOT = re.compile(  # capitals matter: 'None' is a slot, 'none' a word
    r"\{[^{}]*\}?|\}|%\([a-z_]+\)s|%[sdf]\b|\$\{|\[\[|\]\]|\[[A-Za-z_ \u4e00-\u9fff]*\]|\bNone\b"
    r"|\bNaN|\bnan\b|\bNaT\b|\bnull\b"
    r"|\bundefined\b|\bTBD\b|\bTODO\b|\bN/A\b|\bxx+\b|\bLorem\b|【\s*】|《\s*》|“\s*”|「\s*」|\"\s*\"|\(\s*\)|尊敬的\s*[，,：:！]"
    r"|亲爱的\s*[，,：:！]|\bDear\s*[,:]|\b(?:Hi|Hello|Hey)\s+[,:!]|\b[A-Z]{2,}_[A-Z_]+\b|\b[a-z]+_[a-z_]+\b|_{2,}|\binf\b"
    r"|<[A-Z_ ]+>|&\w+;|&#\d+;|(?:None|NaN|nan|NaT|null|undefined)(?=[折元%年月日件]|[\u4e00-\u9fff])"
)
